/**
 * A FIDO key in software: makes the signatures that an authenticator would make for an `sk-ssh-ed25519` key, in OpenSSH's
 * own format, so that a real ssh-keygen verifies them (PROTOCOL.sshsig, PROTOCOL.u2f).
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'

const type = 'sk-ssh-ed25519@openssh.com'
const application = 'ssh:'

export function createSoftwareFido() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  const blob = Buffer.concat([text(type), text(point), text(application)])
  return {
    publicKeyLine: `${type} ${blob.toString('base64')} someone@laptop`,
    sign(statement: string, options: { touched: boolean; namespace?: string }): string {
      const namespace = options.namespace ?? 'lethe'
      const digest = createHash('sha512').update(statement).digest()
      const signed = Buffer.concat([
        Buffer.from('SSHSIG'),
        text(namespace),
        text(''),
        text('sha512'),
        text(digest),
      ])
      const tail = Buffer.concat([Buffer.from([options.touched ? 1 : 0]), uint32(7)])
      const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest()
      const raw = sign(null, Buffer.concat([sha256(application), tail, sha256(signed)]), privateKey)
      const signature = Buffer.concat([text(type), text(raw), tail])
      const whole = Buffer.concat([
        Buffer.from('SSHSIG'),
        uint32(1),
        text(blob),
        text(namespace),
        text(''),
        text('sha512'),
        text(signature),
      ])
      const lines = whole.toString('base64').match(/.{1,70}/g) ?? []
      return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`
    },
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint32(bytes.length), bytes])
}
