/**
 * What drivers hang on an error besides its message and code, and what may hold a payload there: the statement with its
 * values (postgres-js), the failing row, the text around a mistake in JSON.
 */
const ofDriver: readonly string[] = ['query', 'parameters', 'args', 'types']
const ofServer: readonly string[] = ['detail', 'where']

/** Classes of SQLSTATE whose details quote data: data exceptions, violated constraints. */
const quotesData = /^2[23]/

/**
 * The driver's error without what may quote a payload: itself where there is no such thing, else a copy of the same
 * class. It ends up as the cause of ours, and in somebody's log.
 *
 * @param speaksOfKeys - the error's details are known to name keys alone
 */
export function discreet(error: Error, speaksOfKeys: boolean): Error {
  const code = Reflect.get(error, 'code')
  const quotes = typeof code === 'string' && quotesData.test(code) && !speaksOfKeys
  const hidden = [...ofDriver, ...(quotes ? ofServer : [])]
  if (!hidden.some((name) => Reflect.get(error, name) !== undefined)) return error
  const copy: Error = new Error(error.message, { cause: error.cause })
  Object.setPrototypeOf(copy, Object.getPrototypeOf(error))
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(error))) {
    if (!hidden.includes(name)) Object.defineProperty(copy, name, descriptor)
  }
  return copy
}
