/** `lethe keystore …`: the embedded keystore, whose keys hash the subjects in the erasure ledger. */
import { existsSync } from 'node:fs'
import { LetheError } from '../../lib/base/errors/index.ts'
import { readConfig, type AddCommands, type Session } from './session.ts'

export const keystoreCommands: AddCommands = (program, session) => {
  const keystore = program
    .command('keystore')
    .description('the embedded keystore; back it up apart from the databases')
  keystore
    .command('create')
    .description('make it, for a new installation; never overwrites one')
    .action(() => create(session))
  keystore
    .command('rotate')
    .description('add a key and use it from now on; old keys stay for the entries they made')
    .action(() => rotate(session))
}

async function create(session: Session): Promise<void> {
  const { openKeystore } = await import('../../lib/base/keystore/index.ts')
  const { keystorePath } = await readConfig(session)
  if (existsSync(keystorePath))
    throw new LetheError('E_KEYSTORE_EXISTS', { message: `There is a file at ${keystorePath} already.` })
  const keystore = await openKeystore(keystorePath, { create: true })
  session.output.data(
    { keystore: keystorePath, keyId: keystore.currentKeyId },
    `Keystore ${keystorePath} holds key ${keystore.currentKeyId}. Back it up now, apart from the databases: without it the erasure ledger can't be replayed.`,
  )
}

async function rotate(session: Session): Promise<void> {
  const { openKeystore } = await import('../../lib/base/keystore/index.ts')
  const { keystorePath } = await readConfig(session)
  const keystore = await openKeystore(keystorePath)
  const keyId = await keystore.rotate()
  session.output.data(
    { keystore: keystorePath, keyId, keys: keystore.keyIds },
    `New hashes use key ${keyId}; ${keystore.keyIds.length - 1} older kept. Back the file up again, and restart the workers.`,
  )
}
