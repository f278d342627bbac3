import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CheckFailure, root, run } from './command.ts'
import { allSnippets, documentLine, type Snippet, sourceOf } from './snippets.ts'

/** in a folder that neither git nor a linter looks at, where the workspace's packages resolve */
const directory = join(root, 'tooling/checks/dist/snippets')

export interface SnippetFile {
  readonly snippet: Snippet
  readonly path: string
}

/** Writes every snippet as a file, in place of those of an earlier run. */
export async function writeSnippets(): Promise<readonly SnippetFile[]> {
  await rm(directory, { recursive: true, force: true })
  const files = allSnippets().map((snippet) => ({
    snippet,
    path: join(directory, snippet.document.replaceAll('/', '_').replace(/\.md$/, ''), `${snippet.name}.ts`),
  }))
  for (const { snippet, path } of files) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, sourceOf(snippet))
  }
  const settings = {
    extends: join(root, 'tsconfig.test.json'),
    // a snippet may show what it does not use
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    include: ['**/*.ts'],
  }
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(settings))
  return files
}

/**
 * Compiles every snippet of every document against the workspace's packages.
 *
 * @returns how many there were
 * @throws {CheckFailure} with the compiler's messages, at the lines of the documents
 */
export async function checkSnippets(): Promise<string> {
  const files = await writeSnippets()
  try {
    await run('tsc', ['-p', join(directory, 'tsconfig.json'), '--pretty', 'false'])
  } catch (error) {
    if (!(error instanceof CheckFailure)) throw error
    throw new CheckFailure(inDocuments(error.message, files))
  }
  return `${files.length} snippets`
}

/** The compiler's messages with the documents' lines in place of the files'. */
function inDocuments(messages: string, files: readonly SnippetFile[]): string {
  return messages
    .split('\n')
    .map((message) => {
      const at = /^(\S+\.ts)\((\d+),(\d+)\)(.*)$/.exec(message)
      const file = files.find(({ path }) => at?.[1] !== undefined && path === join(root, at[1]))
      if (!at || !file) return message
      return `${file.snippet.document}:${documentLine(file.snippet, Number(at[2]))}:${at[3]}${at[4]}`
    })
    .join('\n')
}
