/** Owns the inspection of registries.yaml (k3s, RKE2). Pure. */
import { LineCounter, parseDocument } from 'yaml';
import { type Finding, voiceOf } from '../check.ts';
import { quoted } from '../redact.ts';
import type { ClientFile, Inspection, MirrorUse } from './mirror-use.ts';
import { isTable, type Table, valueIn } from './toml.ts';

const say = voiceOf('clients');
const EXAMPLE = '`hubcap setup k3s` shows the whole file';

export function inspectRegistriesYaml({ path, text }: ClientFile): Inspection {
  const findings: Finding[] = [];
  const fail = (id: string, message: string, remedy: string, facts = {}): void => {
    findings.push(say.failed(`k3s.${id}`, `${path}${message}`, remedy, { file: path, ...facts }));
  };
  const read = readYaml(text);
  if ('fault' in read) {
    const { line, column } = read.fault;
    fail(
      'yaml',
      ` is not valid YAML, k3s does not start: line ${line}, column ${column}`,
      EXAMPLE,
      read.fault,
    );
    return { findings, mirrors: [] };
  }
  const { value } = read;
  if (value === null || value === undefined) return { findings, mirrors: [] };
  if (!isTable(value)) {
    fail('yaml', ` holds ${quoted(value)}, k3s does not start`, EXAMPLE);
    return { findings, mirrors: [] };
  }
  for (const key of ['mirror', 'registries', 'registry', 'hosts'])
    if (Object.hasOwn(value, key))
      fail('key', `: k3s makes nothing of ${quoted(key)}`, `the key is "mirrors"; ${EXAMPLE}`);
  const { mirrors = {} } = value;
  if (!isTable(mirrors)) {
    if (mirrors !== null)
      fail('mirrors', `: mirrors is ${quoted(mirrors)}`, `write a registry below it; ${EXAMPLE}`);
    return { findings, mirrors: [] };
  }
  const uses = Object.entries(mirrors).flatMap(([registry, one]) =>
    endpointsOf(registry, one, fail).flatMap((entry): MirrorUse[] => {
      const url = endpointUrl(registry, entry, fail);
      if (!url) return [];
      const isUnproven = valueIn(value, 'configs', url.host, 'tls', 'insecure_skip_verify') === true;
      return [
        { client: 'k3s', file: path, url, registry: registry === '*' ? undefined : registry, isUnproven },
      ];
    }),
  );
  return { findings, mirrors: uses };
}

type Fail = (id: string, message: string, remedy: string) => void;

function endpointsOf(registry: string, mirror: unknown, fail: Fail): unknown[] {
  const of = `: mirrors of ${quoted(registry)}`;
  if (!isTable(mirror)) {
    if (mirror !== null)
      fail('mirrors', `${of} are ${quoted(mirror)}`, 'write endpoint: ["http://HOST:PORT"] below it');
    return [];
  }
  const misspelt: keyof Table | undefined = ['endpoints', 'mirror', 'url'].find((key) =>
    Object.hasOwn(mirror, key),
  );
  if (misspelt !== undefined)
    fail('key', `${of}: k3s makes nothing of ${quoted(misspelt)}`, 'the key is "endpoint"');
  const { endpoint = [] } = mirror;
  if (Array.isArray(endpoint)) return endpoint;
  fail(
    'endpoint',
    `${of}: endpoint is ${quoted(endpoint)}, k3s does not start`,
    'write a list: ["http://HOST:PORT"]',
  );
  return [];
}

function endpointUrl(registry: string, entry: unknown, fail: Fail): URL | undefined {
  const hasScheme = typeof entry === 'string' && /^https?:\/\//.test(entry);
  const url = hasScheme ? URL.parse(entry) : null;
  if (url) return url;
  fail('endpoint', `: endpoint ${quoted(entry)} of ${quoted(registry)} is no URL`, 'write http://HOST:PORT');
  return undefined;
}

function readYaml(text: string): { value: unknown } | { fault: { line: number; column: number } } {
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { fault: { line, column: col } };
  };
  const [error] = document.errors;
  if (error) return at(error.pos[0]);
  try {
    return { value: document.toJS({ maxAliasCount: 100 }) as unknown };
  } catch {
    return at(0); // aliases: one without its anchor, or too many
  }
}
