import type { Reporter, TestModule } from 'vitest/node'

/** Prints names and outcomes, and no times: this example's output is compared. Your own project needs none. */
export const plainReporter: Reporter = {
  onTestRunEnd(modules, unhandledErrors) {
    for (const module of modules.toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1))) print(module)
    for (const error of unhandledErrors) console.error(error.stack ?? error.message)
  },
}

function print(module: TestModule): void {
  for (const error of module.errors()) console.error(error.stack ?? error.message)
  for (const test of module.children.allTests()) {
    const result = test.result()
    console.log(`${result.state}: ${test.fullName}`)
    for (const error of result.errors ?? []) console.error(error.stack ?? error.message)
  }
}
