import type { Pool } from 'pg'
import { watching } from './pg-watching.ts'

/** A node of a plan, as `explain (analyze, buffers, format json)` writes it. */
export interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Subplan Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly 'Rows Removed by Join Filter'?: number
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
  readonly Plans?: readonly PlanNode[]
}

/**
 * The pool, where every statement is explained, and rolled back, before it is run: once as it is planned for its values,
 * and if it is prepared, once more as it is planned for any.
 *
 * @param onPlan - gets each plan, and whether PostgreSQL compiled it first (JIT)
 */
export function explaining(pool: Pool, onPlan: (plan: PlanNode, isCompiled: boolean) => void): Pool {
  return watching(pool, async ({ name, text, values }) => {
    // the last: a block of PL/pgSQL cannot be explained
    if (/^(begin|commit|rollback|do)\b/.test(text)) return
    const client = await pool.connect()
    const explain = async (statement: string, bound: readonly unknown[] = []): Promise<void> => {
      await client.query('begin')
      const { rows } = await client.query(`explain (analyze, buffers, timing off, format json) ${statement}`, [
        ...bound,
      ])
      await client.query('rollback')
      const [explained] = rows[0]['QUERY PLAN']
      onPlan(explained.Plan, 'JIT' in explained)
    }
    try {
      await explain(text, values)
      if (name !== undefined) {
        await client.query(`set plan_cache_mode = force_generic_plan; prepare explained as ${text}`)
        await explain(
          `execute explained (${values.map((value) => (typeof value === 'string' ? client.escapeLiteral(value) : 'null')).join(', ')})`,
        )
        await client.query('deallocate explained; reset plan_cache_mode')
      }
      client.release()
    } catch (error) {
      // a transaction is still open on it
      client.release(true)
      throw error
    }
  })
}

export function nodesOf(node: PlanNode): readonly PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}

/** Those that it threw away among them. */
export function rowsRead(node: PlanNode): number {
  const each =
    node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
  return each * node['Actual Loops']
}
