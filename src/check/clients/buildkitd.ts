/** Owns the inspection of buildkitd.toml. Pure. */
import { isLoopback } from '../../clients/mirror-address.ts';
import { type Finding, voiceOf } from '../check.ts';
import { quoted } from '../redact.ts';
import type { ClientFile, Inspection, MirrorUse } from './mirror-use.ts';
import { isTable, readToml, valueIn } from './toml.ts';

const say = voiceOf('clients');

export function inspectBuildkitd(file: ClientFile): Inspection {
  const { path } = file;
  const read = readToml(file, 'buildkit.toml', 'buildkitd does not start');
  if ('finding' in read) return { findings: [read.finding], mirrors: [] };
  const findings: Finding[] = [];
  const fail = (message: string, remedy: string): void => {
    findings.push(say.failed('buildkit.mirror', `${path}: ${message}`, remedy, { file: path }));
  };
  if (Object.hasOwn(read.table, 'registries') || Object.hasOwn(read.table, 'mirrors'))
    fail(
      'buildkitd makes nothing of registries or mirrors here',
      'write [registry."docker.io"] with mirrors = ["HOST:PORT"]',
    );
  const { registry = {} } = read.table;
  if (!isTable(registry)) {
    fail(`registry is ${quoted(registry)}`, 'write [registry."docker.io"]');
    return { findings, mirrors: [] };
  }
  const mirrors = Object.entries(registry).flatMap(([name, settings]) => {
    const list = valueIn(settings, 'mirrors') ?? [];
    if (!Array.isArray(list)) {
      fail(
        `mirrors of ${quoted(name)} is ${quoted(list)}, buildkitd does not start`,
        'write mirrors = ["HOST:PORT"]',
      );
      return [];
    }
    return list.flatMap((entry: unknown): MirrorUse[] => {
      const url = mirrorUrl(entry, registry);
      if (typeof url === 'object')
        return [
          {
            client: 'buildkit',
            file: path,
            url,
            registry: name,
            isUnproven: valueIn(registry, url.host, 'insecure') === true,
          },
        ];
      fail(
        `the mirror ${quoted(entry)} of ${quoted(name)} ${url}`,
        'write HOST:PORT; for plain HTTP [registry."HOST:PORT"] with http = true',
      );
      return [];
    });
  });
  return { findings, mirrors };
}

/** By https, unless `http` is set for the mirror's own host; loopback goes by http without that. */
function mirrorUrl(entry: unknown, registry: Readonly<Record<string, unknown>>): URL | string {
  if (typeof entry !== 'string') return 'is no text';
  if (entry.includes('://')) return 'has a scheme';
  const url = URL.parse(`https://${entry}`);
  if (!url) return 'is no HOST:PORT';
  const isPlain = valueIn(registry, url.host, 'http') ?? isLoopback(url);
  return isPlain === true ? new URL(`http://${entry}`) : url;
}
