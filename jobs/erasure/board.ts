/** Lanes that work side by side, each looking again whenever another got somewhere; all end once none has anything left. */
export class Board {
  private turn = 0
  private readonly waiting: ((again: boolean) => void)[] = []
  private readonly lanes: number

  constructor(lanes: number) {
    this.lanes = lanes
  }

  get seen(): number {
    return this.turn
  }

  /** Something changed that another lane may have waited for. */
  moved(): void {
    this.turn += 1
    for (const wake of this.waiting.splice(0)) wake(true)
  }

  /** A lane that found nothing to do since `seen`: true, look again; false, all are idle. */
  idle(seen: number): Promise<boolean> {
    if (seen !== this.turn) return Promise.resolve(true)
    if (this.waiting.length + 1 >= this.lanes) {
      for (const wake of this.waiting.splice(0)) wake(false)
      return Promise.resolve(false)
    }
    return new Promise((resolve) => this.waiting.push(resolve))
  }
}
