/** The layout of the tables. Raised with every change that needs a migration; `check` compares it with the database's. */
export const schemaVersion: number = 1
