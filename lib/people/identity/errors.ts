import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Identity', {
  E_IDENTITY_MISSING: {
    exit: 13,
    retryable: false,
    next: 'Give --ssh-key FILE (or LETHE_SSH_KEY), --signature FILE, or --oidc-token-file FILE (or LETHE_OIDC_TOKEN).',
  },
  E_IDENTITY_UNKNOWN: {
    exit: 13,
    retryable: false,
    next: "Add the public key or the token's subject to an identity in the configuration, or sign with the key that is there.",
  },
  E_ISSUER_UNAVAILABLE: {
    exit: 20,
    retryable: true,
    next: 'Check oidc.issuer and that this machine reaches it; an SSH key works without it.',
  },
  E_ROLE_MISSING: { exit: 13, retryable: false, next: 'Ask someone who has the role.' },
  E_SECOND_FACTOR: {
    exit: 13,
    retryable: false,
    next: 'Sign with a FIDO key (ssh-keygen -t ed25519-sk), or with a token whose sign-in used a second factor.',
  },
  E_SIGNATURE_INVALID: {
    exit: 13,
    retryable: false,
    next: 'Print the statement again and sign exactly those bytes: ssh-keygen -Y sign -n lethe.',
  },
  E_SSH_KEYGEN: {
    exit: 20,
    retryable: true,
    next: 'Install OpenSSH 8.2 or newer (the package openssh-client), so that ssh-keygen is in PATH.',
  },
  E_SSH_SIGN: {
    exit: 13,
    retryable: false,
    next: 'Check the file, its passphrase, or that the agent holds the key: ssh-keygen -Y sign -n lethe -f FILE.',
  },
  E_STATEMENT_MISMATCH: {
    exit: 13,
    retryable: false,
    next: 'Give the same arguments as when the statement was printed; if the object changed since, look at it and sign again.',
  },
  E_TOKEN_INVALID: {
    exit: 13,
    retryable: false,
    next: 'Sign in again and take a fresh token for the audience in oidc.audience.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
