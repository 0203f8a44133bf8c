export { receiptSchema, type Outcome, type Receipt, type ReceiptLeg } from './schema.ts'
export { receiptHash, signReceipt, verifyReceipt, type VerifiedReceipt } from './sign.ts'
export { renderReceipt } from './page.ts'
export { describeReceipt } from './describe.ts'
