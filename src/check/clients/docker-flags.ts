/** Owns the flags that dockerd is started with: what says the same as daemon.json keeps it from starting. Pure. */
import { type Finding, voiceOf } from '../check.ts';
import { quoted } from '../redact.ts';
import { mirrorFault } from './docker-mirror.ts';
import type { ClientFile } from './mirror-use.ts';

const say = voiceOf('clients');

/** A flag, and the key of daemon.json that means the same. */
const FLAGS: Readonly<Record<string, string>> = {
  'registry-mirror': 'registry-mirrors',
  'insecure-registry': 'insecure-registries',
};

/** A flag as it was found. */
export interface FoundFlag {
  name: string;
  value: string;
  /** where: a unit file, or a process */
  place: string;
}

/**
 * The flags in the command line that systemd starts dockerd with.
 * @param units the unit, then its drop-ins in the order of their names
 * @param environment files that units may name, by path
 */
export function flagsInUnits(
  units: readonly ClientFile[],
  environment: ReadonlyMap<string, string>,
): FoundFlag[] {
  let command: { line: string; place: string } | undefined;
  const variables = new Map<string, string>();
  for (const { path, text } of units) {
    for (const [key, value] of assignments(text)) {
      // An empty ExecStart forgets those before.
      if (key === 'ExecStart') command = value === '' ? undefined : { line: value, place: path };
      if (key === 'Environment') for (const [name, said] of variablesIn(value)) variables.set(name, said);
      if (key === 'EnvironmentFile')
        for (const line of (environment.get(value.replace(/^-/, '')) ?? '').split('\n'))
          for (const [name, said] of variablesIn(line)) variables.set(name, said);
    }
  }
  if (!command) return [];
  const whole = command.line.replace(
    /\$\{?([A-Z_][A-Z0-9_]*)\}?/gi,
    (_, name: string) => variables.get(name) ?? '',
  );
  return flagsIn(words(whole), command.place);
}

/** @returns the flags that matter in a command line */
export function flagsIn(args: readonly string[], place: string): FoundFlag[] {
  return args.flatMap((arg, at) => {
    const [, name = '', , value] = /^--?([a-z-]+)(=(.*))?$/s.exec(arg) ?? [];
    if (!Object.hasOwn(FLAGS, name)) return [];
    return [{ name, value: value ?? args[at + 1] ?? '', place }];
  });
}

/** @param keys of daemon.json; undefined where there is none that can be read */
export function inspectFlags(flags: readonly FoundFlag[], keys: readonly string[] | undefined): Finding[] {
  const names = [...new Set(flags.map(({ name }) => name))];
  const conflicts = names.flatMap((name): Finding[] => {
    const key = FLAGS[name] ?? name;
    const place = flags.find((flag) => flag.name === name)?.place;
    if (!keys?.includes(key)) return [];
    const message = `--${name} is given in ${place}, and "${key}" in daemon.json: Docker does not start with both`;
    return [say.failed('docker.flags', message, 'keep one of them', { file: place, refused: 'all' })];
  });
  const faults = flags
    .filter(({ name }) => name === 'registry-mirror')
    .flatMap(({ value, place }): Finding[] => {
      const fault = mirrorFault(value);
      if (!fault) return [];
      const message = `${place}: --registry-mirror ${quoted(value)} ${fault.what}`;
      return [
        say.failed(`docker.${fault.id}`, message, fault.remedy, { file: place, refused: fault.refused }),
      ];
    });
  return [...conflicts, ...faults];
}

function assignments(unit: string): [key: string, value: string][] {
  const lines = unit.replace(/\\\r?\n/g, ' ').split(/\r?\n/);
  return lines.flatMap((line): [string, string][] => {
    const match = /^\s*(ExecStart|Environment|EnvironmentFile)\s*=(.*)$/.exec(line);
    return match ? [[match[1] ?? '', (match[2] ?? '').trim()]] : [];
  });
}

function variablesIn(text: string): [name: string, value: string][] {
  const quotedOnes =
    /(?:^|\s)"?([A-Za-z_]\w*)=(?:"([^"]*)"|'([^']*)'|([^"\n]*?))"?(?=\s+"?[A-Za-z_]\w*=|\s*$)/g;
  return text.startsWith('#')
    ? []
    : [...text.matchAll(quotedOnes)].map(([, name = '', double, single, bare]) => [
        name,
        double ?? single ?? bare ?? '',
      ]);
}

function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? '',
  );
}
