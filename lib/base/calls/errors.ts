import { defineErrors, type Codes } from '../errors/index.ts'

const errors = defineErrors('Other stores and processors', {
  E_STORE_REFUSED: {
    exit: 12,
    retryable: false,
    next: 'Give Lethe the rights that the eraser of this store needs, and check what the map names there.',
  },
  E_STORE_THROTTLED: {
    exit: 20,
    retryable: true,
    next: 'Wait, or raise the limit at the other side. Erasures go on by themselves.',
  },
  E_STORE_UNAVAILABLE: {
    exit: 20,
    retryable: true,
    next: 'Check the address and that the other side answers. Erasures go on by themselves.',
  },
})

declare module '../errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
