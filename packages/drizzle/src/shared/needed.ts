/**
 * What is needed on the table that a database's refusal names: the refusal itself does not say which privilege.
 *
 * @param needs - privileges by kind of table
 */
export function neededOn(
  refusal: string,
  prefix: string,
  needs: Readonly<Record<string, readonly string[]>>,
): string | undefined {
  const table = Object.entries(needs).find(([kind]) =>
    new RegExp(`(?<![\\w$])${prefix}${kind}(?![\\w$])`).test(refusal),
  )
  return table && `${listed(table[1])} on ${prefix}${table[0]}`
}

function listed(privileges: readonly string[]): string {
  return [privileges.slice(0, -1).join(', '), privileges.at(-1)].join(' and ')
}
