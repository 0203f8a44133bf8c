/** What each answer needs to know. Texts are of the configuration or of a decision, never of the request. */
export interface AnswerFacts {
  /** Art. 12(3): it came in, and by when it is answered. */
  acknowledgement: Request & { due: Date }
  /** Somebody asked; was it the data subject? `expires`: the link's last moment. */
  confirm: { request: string; link: URL; expires: Date }
  /** Access is cut, erasure waits; the link takes the request back. */
  cancel: { request: string; link: URL; accessCut: Date; graceUntil: Date }
  /** Art. 12(3): sent before `due`, the first last day; `extended` is the new one. */
  extension: Request & { due: Date; extended: Date; reason: string }
  /** Art. 12(4): why not, and where to complain. */
  refusal: Request & { grounds: readonly [string, ...string[]] }
  completion: Request & {
    finished: Date
    /** Its number, by which the data subject asks for it. */
    receipt: string
    /** Kinds of data in words: "Your profile and messages". */
    erased: readonly string[]
    /** `until` null: for as long as the ground lasts. */
    retained: readonly { what: string; ground: string; until: Date | null }[]
    /** What stays and names the data subject no longer, beside what is retained on a ground. */
    pseudonymised: readonly string[]
    left: readonly string[]
    /** Null: no backup holds it; `until` null: nobody can say how long. */
    backup: { until: Date | null } | null
    /** Art. 19: named when the data subject asks for them, else empty. */
    recipients: readonly { name: string; told: Date | null }[]
  }
}

export type AnswerKind = keyof AnswerFacts

interface Request {
  /** Its id, the data subject's reference. */
  request: string
  received: Date
}
