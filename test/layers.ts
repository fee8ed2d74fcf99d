/** Holds the import directions of the design, and what no file in src/ may contain. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import t from 'tap';

/** Source text by its path below src/. */
type Sources = ReadonlyMap<string, string>;

interface Import {
  /** below src/, or a package */
  target: string;
  isType: boolean;
}

/** A file may import its own room and rooms of a lower rank: cli → check → daemon → {http, admin} → … → oci. */
const RANKS: Readonly<Record<string, number>> = {
  cli: 9,
  check: 8,
  daemon: 7,
  http: 6,
  admin: 6,
  airgap: 5,
  mirror: 4,
  upstream: 3,
  store: 3,
  clients: 3,
  oci: 2,
};
/** Top-level files that are the composition root, and those that all rooms may use. */
const ROOT = new Set([
  'background.ts',
  'daemon.ts',
  'listeners.ts',
  'local-control.ts',
  'mirror-assembly.ts',
  'observers.ts',
  'reload.ts',
  'unattended.ts',
  'upstreams.ts',
]);
const COMMON = new Set([
  'chunk-memory.ts',
  'outcome.ts',
  'refused-error.ts',
  'single-flight.ts',
  'totals.ts',
  'units.ts',
  'log.ts',
  'gauges.ts',
  'metrics.ts',
]);
const READS_ENVIRONMENT = 'cli/options.ts';

const PATTERNS: readonly [what: string, pattern: RegExp][] = [
  ['a barrel', /\bexport\s+(?:type\s+)?\*/],
  ['a default export', /\bexport\s+(?:default\b|\{[^}]*\bas\s+default\b)/],
  ['any', /(?:[:<|&,(]|\bas|\bextends|=>)\s*any\b(?!\s*[(:.])/],
  ['an enum', /\benum\s+\w+\s*\{/],
];

function roomOf(path: string): string {
  const slash = path.indexOf('/');
  if (slash >= 0) return path.slice(0, slash);
  return ROOT.has(path) ? 'daemon' : path;
}

/** Every import and re-export of a file, dynamic and for side effects too. */
function importsOf(path: string, source: string): Import[] {
  const statements =
    /^\s*(?:import|export)\s+(type\s)?(?:[^;'"]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;
  return [...source.matchAll(statements)].map(([, type, name, dynamic]) => {
    const specifier = name ?? dynamic ?? '';
    const target = specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : specifier;
    return { target, isType: type !== undefined };
  });
}

/** What is wrong with an import; undefined where it is allowed. */
function directionFault(from: string, to: string): string | undefined {
  const [fromRoom, toRoom] = [roomOf(from), roomOf(to)];
  if (fromRoom === toRoom) return undefined;
  if (from === 'main.ts') return toRoom === 'cli' ? undefined : 'main imports cli alone';
  if (COMMON.has(to)) return fromRoom === 'oci' ? 'oci is pure' : undefined;
  if (COMMON.has(from)) return `${from} imports no room`;
  if (toRoom === 'config') {
    return ['cli', 'check', 'daemon'].includes(fromRoom)
      ? undefined
      : 'config is for cli, check and the composition root';
  }
  const fromRank = fromRoom === 'config' ? RANKS.upstream : RANKS[fromRoom];
  const toRank = RANKS[toRoom];
  if (fromRank === undefined) return `${fromRoom} is no room of the design`;
  if (toRank === undefined) return `${toRoom} is no room of the design`;
  return toRank < fromRank ? undefined : `${fromRoom} must not import ${toRoom}`;
}

/** Comments and the contents of strings, blanked: words in them are not code. */
function codeOf(source: string): string {
  const text = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g;
  return source.replace(text, (match) => (match.startsWith('/') ? ' ' : "''"));
}

/** A path of run-time imports that ends where it began, for each file that is on one. */
function cyclesOf(sources: Sources): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push(`cycle: ${[...trail.slice(at), path].join(' → ')}`);
    if (at >= 0 || done.has(path)) return;
    for (const { target, isType } of importsOf(path, sources.get(path) ?? '')) {
      if (!isType && sources.has(target)) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of sources.keys()) visit(path, []);
  return found;
}

function faultsIn(sources: Sources): string[] {
  const faults = cyclesOf(sources);
  for (const [path, source] of sources) {
    for (const { target } of importsOf(path, source)) {
      if (!target.endsWith('.ts')) continue;
      const fault = sources.has(target) ? directionFault(path, target) : 'there is no such file in src';
      if (fault) faults.push(`${path} → ${target}: ${fault}`);
    }
    const code = codeOf(source);
    for (const [what, pattern] of PATTERNS) if (pattern.test(code)) faults.push(`${path}: ${what}`);
    if (path !== READS_ENVIRONMENT && /\bprocess\s*(?:\?\.|\.|\[)\s*(?:env\b|'')/.test(code))
      faults.push(`${path}: process.env`);
  }
  return faults;
}

function readSources(directory: string): Map<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true });
  return new Map(
    files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name))
      .map((path) => [relative(directory, path), readFileSync(path, 'utf8')]),
  );
}

t.test('src/ keeps the rules of the design', async (t) => {
  const sources = readSources(join(import.meta.dirname, '../src'));
  t.ok(sources.size > 60, 'the files were found');
  t.ok(importsOf('daemon.ts', sources.get('daemon.ts') ?? '').length > 15, 'and so were their imports');
  t.same(faultsIn(sources), []);
  for (const [path, source] of sources)
    t.match(source, /^(?:#!.*\n)?\/\*\* Owns |^(?:#!.*\n)?\/\*\* /, `${path} says what it owns`);
});

t.test('each direction can fail', async (t) => {
  const forbidden: [from: string, to: string][] = [
    ['main.ts', 'daemon.ts'],
    ['main.ts', 'log.ts'],
    ['daemon.ts', 'cli/index.ts'],
    ['observers.ts', 'cli/index.ts'],
    ['http/a.ts', 'daemon.ts'],
    ['http/a.ts', 'admin/b.ts'],
    ['admin/a.ts', 'http/b.ts'],
    ['airgap/a.ts', 'http/b.ts'],
    ['mirror/a.ts', 'airgap/b.ts'],
    ['mirror/a.ts', 'http/b.ts'],
    ['store/a.ts', 'mirror/b.ts'],
    ['store/a.ts', 'upstream/b.ts'],
    ['upstream/a.ts', 'store/b.ts'],
    ['oci/a.ts', 'store/b.ts'],
    ['oci/a.ts', 'log.ts'],
    ['check/a.ts', 'cli/b.ts'],
    ['daemon.ts', 'check/b.ts'],
    ['clients/a.ts', 'store/b.ts'],
    ['clients/a.ts', 'config/b.ts'],
    ['http/a.ts', 'config/b.ts'],
    ['mirror/a.ts', 'config/b.ts'],
    ['upstream/docker-config.ts', 'config/b.ts'],
    ['config/a.ts', 'mirror/b.ts'],
    ['config/a.ts', 'daemon.ts'],
    ['log.ts', 'oci/b.ts'],
    ['single-flight.ts', 'store/b.ts'],
    ['metrics.ts', 'config/b.ts'],
    ['utils/a.ts', 'oci/b.ts'],
    ['store/a.ts', 'utils/b.ts'],
  ];
  for (const [from, to] of forbidden) {
    const source = `import { b } from '${relative(dirname(from), to).replace(/^(?!\.)/, './')}';`;
    t.equal(
      faultsIn(
        new Map([
          [from, source],
          [to, ''],
        ]),
      ).length,
      1,
      `${from} → ${to}`,
    );
  }
});

t.test('the directions that the design wants pass', async (t) => {
  const allowed: [from: string, to: string][] = [
    ['main.ts', 'cli/index.ts'],
    ['cli/a.ts', 'daemon.ts'],
    ['cli/a.ts', 'config/b.ts'],
    ['cli/a.ts', 'check/b.ts'],
    ['cli/a.ts', 'clients/b.ts'],
    ['check/a.ts', 'clients/b.ts'],
    ['check/a.ts', 'config/b.ts'],
    ['check/a.ts', 'upstreams.ts'],
    ['daemon.ts', 'config/b.ts'],
    ['daemon.ts', 'http/b.ts'],
    ['listeners.ts', 'admin/b.ts'],
    ['http/a.ts', 'mirror/b.ts'],
    ['admin/a.ts', 'airgap/b.ts'],
    ['airgap/a.ts', 'store/b.ts'],
    ['mirror/a.ts', 'upstream/b.ts'],
    ['mirror/a.ts', 'outcome.ts'],
    ['store/a.ts', 'oci/b.ts'],
  ];
  for (const [from, to] of allowed) t.equal(directionFault(from, to), undefined, `${from} → ${to}`);
});

t.test('each other rule can fail', async (t) => {
  const bad: [path: string, source: string][] = [
    ['store/index.ts', "export * from './fill.ts';"],
    ['store/index.ts', "export type * from './fill.ts';"],
    ['store/index.ts', "export * as fills from './fill.ts';"],
    ['oci/a.ts', 'export default function a() {}'],
    ['oci/a.ts', 'const a = 1; export { a as default };'],
    ['oci/a.ts', 'const a: any = 1;'],
    ['oci/a.ts', 'const a = b as any;'],
    ['oci/a.ts', 'const a: Map<string, any> = b;'],
    ['oci/a.ts', 'function a(b: string | any) {}'],
    ['oci/a.ts', 'export enum Kind { A }'],
    ['oci/a.ts', 'const enum Kind { A }'],
    ['store/a.ts', 'const home = process.env.HOME;'],
    ['store/a.ts', "const home = process['env'].HOME;"],
    ['config/a.ts', 'const { HOME } = process.env;'],
  ];
  for (const [path, source] of bad) {
    t.equal(
      faultsIn(
        new Map([
          [path, source],
          ['store/fill.ts', ''],
        ]),
      ).length,
      1,
      source,
    );
  }
  const good = "// any enum X {}\nconst a = 'export default'; const b = `: any`; /* process.env */ any(c);";
  t.same(faultsIn(new Map([['oci/a.ts', good]])), [], 'words in comments and strings are not code');
  t.same(faultsIn(new Map([[READS_ENVIRONMENT, 'f(process.env);']])), [], 'one place reads the environment');
});

t.test('cycles at run time are found, cycles of types are not', async (t) => {
  const cycle = new Map([
    ['oci/a.ts', "import { b } from './b.ts';"],
    ['oci/b.ts', "import {\n  type C,\n  c,\n} from './c.ts';"],
    ['oci/c.ts', "const a = await import('./a.ts');"],
  ]);
  t.same(faultsIn(cycle), ['cycle: oci/a.ts → oci/b.ts → oci/c.ts → oci/a.ts']);
  t.match(faultsIn(new Map([['oci/a.ts', "import './a.ts';"]])), ['cycle: oci/a.ts → oci/a.ts']);
  t.same(faultsIn(new Map([...cycle, ['oci/c.ts', "import type { A } from './a.ts';"]])), []);
  t.match(faultsIn(new Map([['oci/a.ts', "import { b } from './gone.ts';"]])), [/no such file/]);
});
