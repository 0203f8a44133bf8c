/** What leads to a subject in DynamoDB. */

export interface DynamodbPlace {
  /** In counts and messages; never holds an identity. */
  name: string
  table: string
  /** A secondary index to look in; what it finds goes by the table's own key. */
  index?: string | undefined
  /**
   * Templates by key attribute of the table, or of the index: all of the partition key, and of the sort key as much as
   * is known. What becomes of them is text for an S, a decimal number for an N, base64 for a B.
   */
  key: Readonly<Record<string, string>>
}

export interface DynamodbPlan {
  places: readonly DynamodbPlace[]
}
