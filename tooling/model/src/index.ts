export { describeModel, type ModelOptions, type OpenedOutbox } from './describe-model.ts'
