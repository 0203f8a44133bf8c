import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Evidence', {
  E_EVIDENCE_AGED: {
    exit: 12,
    retryable: false,
    next: 'A proof made before the content aged out still verifies.',
  },
  E_EVIDENCE_BROKEN: {
    exit: 30,
    retryable: false,
    next: 'Copy the control database as it is before anything else, then compare it with the last backup.',
  },
  E_EVIDENCE_CLOCK: {
    exit: 20,
    retryable: true,
    next: "Bring the control database server's clock into step (NTP).",
  },
  E_EVIDENCE_FORMAT: {
    exit: 2,
    retryable: false,
    next: 'Check that the file is whole and what its name says.',
  },
  E_EVIDENCE_KEY: {
    exit: 2,
    retryable: false,
    next: 'Make an Ed25519 key (openssl genpkey -algorithm ed25519), or give the public key as it was published.',
  },
  E_EVIDENCE_ORIGIN: {
    exit: 30,
    retryable: false,
    next: 'Compare with `evidence.origin` in the configuration: it is another log.',
  },
  E_EVIDENCE_PENDING: {
    exit: 11,
    retryable: true,
    next: 'Wait a minute; `lethe evidence status` says whether the log moves and heads are signed.',
  },
  E_EVIDENCE_SIGNATURE: {
    exit: 30,
    retryable: false,
    next: 'Check with the public keys as they were published; none of them fitting, it is not from this log.',
  },
  E_EVIDENCE_WITNESS: {
    exit: 20,
    retryable: true,
    next: 'Nothing: it is asked again with the next head. If it stays away, tell whoever runs the witness.',
  },
  E_EVIDENCE_WITNESS_REFUSED: {
    exit: 12,
    retryable: false,
    next: 'Compare evidence.witnesses with what whoever runs the witness has of the log: address, origin and keys.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
