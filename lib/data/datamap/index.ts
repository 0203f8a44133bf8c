import './errors.ts'

export * from './schema.ts'
export { loadCatalogue, storeCatalogue } from './catalogue.ts'
export type { Catalogue, CatalogueSource, CatalogueTable, ForeignKey, Index } from './catalogue-shape.ts'

export { checkMapFile, checkPlace } from './check.ts'
export { otherStore, type OtherStore } from './other-store.ts'
export {
  parseTableName,
  sqlColumn,
  sqlIdentifier,
  sqlLiteral,
  sqlTable,
  tableKey,
  type TableKey,
  type TableName,
} from './names.ts'
export {
  comparesAsText,
  isCitext,
  isWritten,
  keyText,
  keyType,
  writtenText,
  type KeyType,
} from './key-text.ts'
export { bareType, baseType, equalityOf } from './types.ts'
export { mapVersion } from './version.ts'
export {
  namesIn,
  type Identifiers,
  expand,
  expandFit,
  isBounded,
  ofNobody,
  partsOf,
  valuesIn,
  isStray,
} from './identifiers.ts'
