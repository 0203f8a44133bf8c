/** `lethe erasure …`: requests to erase, and what is left of them. */
import { addReceipt } from './erasure-receipt.ts'
import type { AddCommands } from './session.ts'

export const erasureCommands: AddCommands = (program, session) => {
  const erasure = program.command('erasure').description('requests to erase, and the receipts of them')
  addReceipt(erasure, session)
}
