/** Calls of what others run: in turn, with a deadline, tried again where that can help, failing in our own words. */
import './errors.ts'

export { Answered, callVendor, throttled, type Patience, type Side } from './call.ts'
export {
  requestVendor,
  type HttpAnswer,
  type HttpRequest,
  type HttpSide,
  type Send,
  type SendInit,
} from './http.ts'
export type { Pace } from './pace.ts'
