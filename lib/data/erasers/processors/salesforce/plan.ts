import { LetheError } from '../../../../base/errors/index.ts'

export interface SalesforceObject {
  /** As the API names it: `Contact`, `Case`, `Consent__c`. */
  name: string
  /** By field, the identifier whose values it holds: `{ Email: 'email' }`. A record with one of them in any of the fields is the subject's. */
  where: Readonly<Record<string, string>>
  /** Whether ShouldForget is set on the Individual that a record names, before the record goes. */
  forget?: boolean
}

/** Objects in the order in which they go: what refers to another before what it refers to. */
export interface SalesforcePlan {
  objects: readonly SalesforceObject[]
}

const objectName = /^[A-Za-z][A-Za-z0-9_]{0,79}$/
/** A field, or one of a parent: `Contact.Email`. */
const fieldName = /^[A-Za-z][A-Za-z0-9_]{0,79}(\.[A-Za-z][A-Za-z0-9_]{0,79}){0,5}$/

/** Names stand in a query as they are: none may be more than a name. Throws E_CONFIG. */
export function requireNames(store: string, { objects }: SalesforcePlan): void {
  for (const { name, where } of objects) {
    const odd = [
      ...(objectName.test(name) ? [] : [name]),
      ...Object.keys(where).filter((field) => !fieldName.test(field)),
    ]
    if (odd.length > 0 || Object.keys(where).length === 0)
      throw new LetheError('E_CONFIG', {
        message: `Store ${store} names an object without a field to find its records by, or with a name that Salesforce can't have.`,
        facts: { store, names: odd },
      })
  }
}
