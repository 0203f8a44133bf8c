/**
 * Reads the key and the authenticator's flags out of an armoured SSH signature (OpenSSH's PROTOCOL.sshsig and
 * PROTOCOL.u2f). It says nothing about whether the signature is good: ssh-keygen decides that.
 */

export interface SignatureFacts {
  /** As in a public key line: `ssh-ed25519`, `sk-ssh-ed25519@openssh.com` … */
  keyType: string
  /** A FIDO key whose holder was there and touched it: the authenticator signs that flag. */
  userPresent: boolean
}

const USER_PRESENT = 1

/** Null where the text is no such signature. */
export function readSignature(armoured: string): SignatureFacts | null {
  const body = /^-----BEGIN SSH SIGNATURE-----\s+([A-Za-z0-9+/=\s]+)-----END SSH SIGNATURE-----\s*$/.exec(
    armoured.trim(),
  )?.[1]
  if (body === undefined) return null
  try {
    const outer = new Reader(Buffer.from(body, 'base64'))
    if (outer.bytes(6).toString('latin1') !== 'SSHSIG' || outer.uint32() !== 1) return null
    const key = new Reader(outer.string())
    outer.string() // namespace
    outer.string() // reserved
    outer.string() // hash algorithm
    const signature = new Reader(outer.string())
    const keyType = key.string().toString('latin1')
    const signedAs = signature.string().toString('latin1')
    signature.string()
    const flags = isHardwareKey(keyType) && signedAs === keyType ? signature.uint8() : 0
    return { keyType, userPresent: (flags & USER_PRESENT) !== 0 }
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

export function isHardwareKey(keyType: string): boolean {
  return keyType.startsWith('sk-')
}

/** SSH wire format: numbers big-endian, strings with a 32-bit length before them. Throws RangeError past the end. */
class Reader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  bytes(length: number): Buffer {
    if (this.#at + length > this.#buffer.length) throw new RangeError('past the end')
    const part = this.#buffer.subarray(this.#at, this.#at + length)
    this.#at += length
    return part
  }

  uint8(): number {
    return this.bytes(1).readUInt8()
  }

  uint32(): number {
    return this.bytes(4).readUInt32BE()
  }

  string(): Buffer {
    return this.bytes(this.uint32())
  }
}
