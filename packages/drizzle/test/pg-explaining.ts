import type { Pool } from 'pg'

/** A node of a plan, as `explain (analyze, buffers, format json)` writes it. */
export interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Subplan Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
  readonly Plans?: readonly PlanNode[]
}

/**
 * The pool, where every statement is explained, and rolled back, before it is run.
 *
 * @param onPlan - gets the plan, and whether PostgreSQL compiled it first (JIT)
 */
export function explaining(pool: Pool, onPlan: (plan: PlanNode, isCompiled: boolean) => void): Pool {
  return new Proxy(pool, {
    get(target, name) {
      if (name !== 'query') return Reflect.get(target, name)
      return async (config: { readonly text: string }, values: unknown[]) => {
        const client = await target.connect()
        await client.query('begin')
        const { rows } = await client.query(
          `explain (analyze, buffers, timing off, format json) ${config.text}`,
          values,
        )
        await client.query('rollback')
        client.release()
        const [explained] = rows[0]['QUERY PLAN']
        onPlan(explained.Plan, 'JIT' in explained)
        return target.query(config, values)
      }
    },
  })
}

export function nodesOf(node: PlanNode): readonly PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}
