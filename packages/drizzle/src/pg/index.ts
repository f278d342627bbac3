export { setup, setupSql } from './setup.ts'
