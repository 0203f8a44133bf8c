/** The three primitives of the keystore, from node:crypto. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import { randomSecret } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'

const VERSION = 1
const NONCE = 12
const TAG = 16

export function derive(secret: Buffer, use: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `lethe ${use}`, 32))
}

export function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'utf8').digest()
}

/** Version byte, nonce, tag, ciphertext; the key's id is authenticated, so that a cipher can't move between keys. */
export function encrypt(key: Buffer, keyId: string, plaintext: Buffer): Buffer {
  const nonce = randomSecret(NONCE)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG })
  cipher.setAAD(Buffer.from(keyId))
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([Buffer.from([VERSION]), nonce, cipher.getAuthTag(), body])
}

export function decrypt(key: Buffer, keyId: string, sealed: Buffer): Buffer {
  try {
    if (sealed[0] !== VERSION) throw new Error('version')
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + NONCE), {
      authTagLength: TAG,
    })
    decipher.setAAD(Buffer.from(keyId))
    decipher.setAuthTag(sealed.subarray(1 + NONCE, 1 + NONCE + TAG))
    return Buffer.concat([decipher.update(sealed.subarray(1 + NONCE + TAG)), decipher.final()])
  } catch {
    throw new LetheError('E_KEYSTORE_CIPHER', {
      message: `A value sealed under key ${keyId} can't be opened: its bytes were changed, or it belongs to another key.`,
      facts: { keyId },
    })
  }
}
