import { writeLoadedCode } from './loaded-code.ts'

writeLoadedCode()
