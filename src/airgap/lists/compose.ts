/** Owns Compose files (compose-spec): which images their services pull. */
import { type PlatformChoice, parsePlatform } from '../../oci/platform.ts';
import { type Findings, faultOfPlatform } from './findings.ts';
import { quoted } from './references.ts';
import { type Dialect, tryExpand } from './substitution.ts';
import { entryOf, textOf, type YamlMapping, type YamlValue } from './yaml-tree.ts';

/** Top-level keys that Compose knows; `x-…` beside them is for anybody. */
const TOP_LEVEL: ReadonlySet<string> = new Set([
  ...['name', 'version', 'include', 'services', 'networks', 'volumes', 'configs', 'secrets', 'models'],
]);

/** @returns whether a document is a Compose file: it has services or includes, and nothing that Compose does not know */
export function isCompose(root: YamlValue): boolean {
  if (root.kind !== 'mapping') return false;
  const keys = [...root.entries.keys()];
  const isKnown = keys.every((key) => TOP_LEVEL.has(key) || key.startsWith('x-'));
  return isKnown && (root.entries.has('services') || root.entries.has('include'));
}

interface Reading {
  findings: Findings;
  services: ReadonlyMap<string, YamlValue>;
  dialect: Dialect;
  /** what is built here, by the name that other services may use it under */
  built: ReadonlySet<string>;
}

/**
 * Reads the images that `docker compose pull --ignore-buildable` would pull, of all profiles.
 * @param root see `isCompose`
 * @param variables for interpolation. Compose takes an unset one for empty text; here it is a problem, since the image
 *   would be another
 */
export function readCompose(
  root: YamlValue,
  variables: Readonly<Record<string, string>>,
  findings: Findings,
): void {
  const lookUp = (name: string) => (Object.hasOwn(variables, name) ? variables[name] : undefined);
  const dialect: Dialect = { lookUp, doublesDollar: true, escapeChar: undefined };
  noteIncludes(entryOf(root, 'include'), findings);
  noteModels(entryOf(root, 'models'), findings);
  const services = entryOf(root, 'services');
  if (services && services.kind !== 'mapping') {
    findings.addProblem(services.line, 'services are no mapping; write each as a name with its keys below');
  }
  const named = services?.kind === 'mapping' ? services.entries : new Map<string, YamlValue>();
  const reading: Reading = { findings, services: named, dialect, built: builtNames(named, dialect) };
  for (const [name, service] of named) readService(name, service, reading);
}

function readService(name: string, service: YamlValue, reading: Reading): void {
  const { findings } = reading;
  if (service.kind !== 'mapping') {
    findings.addProblem(service.line, `the service ${name} has no keys; give it an image or leave it out`);
    return;
  }
  readImageVolumes(service, reading);
  noteExtends(name, service, findings);
  const image = inherited(service, 'image', reading);
  const build = inherited(service, 'build', reading);
  if (!image) noteWithoutImage(name, service, build, reading);
  else if (image.kind !== 'scalar' || image.source === '') {
    findings.addProblem(image.line, `the image of the service ${name} is empty or no text; name one`);
  } else readServiceImage(name, service, { image, text: image.source, build }, reading);
}

interface ServiceImage {
  image: YamlValue;
  text: string;
  build: YamlValue | undefined;
}

function readServiceImage(
  name: string,
  service: YamlMapping,
  { image, text, build }: ServiceImage,
  reading: Reading,
): void {
  const { findings, built } = reading;
  const reference = interpolate(text, image.line, reading);
  if (reference === undefined) return;
  const platforms = platformsOf(service, reading);
  const policy = textOf(inherited(service, 'pull_policy', reading)) ?? '';
  if (build && !isPulledFirst(policy)) {
    findings.addNote(
      image.line,
      `the service ${name} is built here as ${reference}, not fetched${dockerfileOf(build)}`,
    );
  } else if (policy === 'never' || policy === 'build') {
    findings.addNote(
      image.line,
      `the service ${name} has pull_policy ${policy}: ${reference} is not fetched`,
    );
  } else if (!build && built.has(reference)) {
    findings.addNote(image.line, `the service ${name} uses ${reference}, which another service builds`);
  } else findings.addImage(image.line, reference, platforms);
}

/** A service that names its policy says that a registry has what it could build, too (compose-spec, "pull_policy"). */
function isPulledFirst(policy: string): boolean {
  return /^(?:always|missing|if_not_present|daily|weekly|every_.*)$/.test(policy);
}

function builtNames(services: ReadonlyMap<string, YamlValue>, dialect: Dialect): Set<string> {
  const names = new Set<string>();
  for (const service of services.values()) {
    const image = entryOf(service, 'image');
    const isBuilt =
      entryOf(service, 'build') && !isPulledFirst(textOf(entryOf(service, 'pull_policy')) ?? '');
    if (!isBuilt || image?.kind !== 'scalar') continue;
    const name = tryExpand(image.source, dialect);
    if (typeof name === 'string') names.add(name);
  }
  return names;
}

function noteWithoutImage(
  name: string,
  service: YamlMapping,
  build: YamlValue | undefined,
  { findings }: Reading,
): void {
  if (build) findings.addNote(build.line, `the service ${name} is built here${dockerfileOf(build)}`);
  else if (service.entries.has('provider')) {
    findings.addNote(service.line, `the service ${name} is left to a provider and has no image`);
  } else if (!entryOf(entryOf(service, 'extends'), 'file')) {
    findings.addNote(service.line, `the service ${name} has no image here; give the file that names it too`);
  }
}

/** Services that extend each other in a row; longer rows end without an image, which is noted. */
const MAX_CHAIN = 20;

/** Extends inside one file are followed; what another file gives is noted, see `noteExtends`. */
function inherited(service: YamlMapping, key: string, { services }: Reading): YamlValue | undefined {
  const seen = new Set<YamlValue>();
  let current: YamlValue | undefined = service;
  while (current && !seen.has(current) && seen.size < MAX_CHAIN) {
    seen.add(current);
    const own = entryOf(current, key);
    if (own) return own;
    const base = entryOf(current, 'extends');
    if (entryOf(base, 'file')) return undefined;
    const name = textOf(base) ?? textOf(entryOf(base, 'service'));
    current = name === undefined ? undefined : services.get(name);
  }
  return undefined;
}

function noteExtends(name: string, service: YamlMapping, findings: Findings): void {
  const base = entryOf(service, 'extends');
  const file = textOf(entryOf(base, 'file'));
  if (base && file !== undefined) {
    findings.addNote(
      base.line,
      `the service ${name} extends one of ${file}, which is not read; give it with -f`,
    );
  }
  const from = textOf(base) ?? textOf(entryOf(base, 'service'));
  if (base && from === undefined) {
    findings.addProblem(
      base.line,
      `what the service ${name} extends is not named; write extends: {service: …}`,
    );
  }
}

function noteIncludes(include: YamlValue | undefined, findings: Findings): void {
  for (const item of itemsOf(include)) {
    const paths = item.kind === 'mapping' ? itemsOf(entryOf(item, 'path')) : [item];
    for (const path of paths) {
      const file = textOf(path);
      if (file === undefined) findings.addProblem(path.line, 'an include names no file; write its path');
      else findings.addNote(path.line, `${file} is included, which is not read; give it with -f`);
    }
  }
}

function noteModels(models: YamlValue | undefined, findings: Findings): void {
  if (models?.kind !== 'mapping') return;
  for (const [name, model] of models.entries) {
    findings.addNote(
      model.line,
      `the model ${name} is no image of a container; give its reference to fetch it`,
    );
  }
}

/** Volumes of the type `image` are pulled like a service's own. */
function readImageVolumes(service: YamlMapping, reading: Reading): void {
  for (const volume of itemsOf(entryOf(service, 'volumes'))) {
    if (textOf(entryOf(volume, 'type')) !== 'image') continue;
    const source = entryOf(volume, 'source');
    const text = source?.kind === 'scalar' ? interpolate(source.source, source.line, reading) : '';
    if (text !== undefined)
      reading.findings.addImage(source?.line ?? volume.line, text, platformsOf(service, reading));
  }
}

function platformsOf(service: YamlMapping, reading: Reading): PlatformChoice | undefined {
  const value = inherited(service, 'platform', reading);
  if (!value) return undefined;
  const text = value.kind === 'scalar' ? interpolate(value.source, value.line, reading) : '';
  if (text === undefined) return undefined;
  const platform = parsePlatform(text);
  if (!platform) reading.findings.addProblem(value.line, faultOfPlatform(text));
  return platform && [platform];
}

function interpolate(text: string, line: number, { dialect, findings }: Reading): string | undefined {
  const expanded = tryExpand(text, dialect);
  if (typeof expanded === 'string') return expanded;
  findings.addProblem(line, `in ${quoted(text)}, ${expanded.message}`);
  return undefined;
}

/** What to do about the images that a build starts from. */
function dockerfileOf(build: YamlValue): string {
  if (entryOf(build, 'dockerfile_inline'))
    return '; its Dockerfile stands in this file: give it in a file of its own';
  const context = textOf(build) ?? textOf(entryOf(build, 'context')) ?? '.';
  const file = textOf(entryOf(build, 'dockerfile')) ?? 'Dockerfile';
  const isFound = /^[a-z+]+:\/\/|^git@/.test(context) || file.startsWith('/');
  const path = isFound ? file : `${context.replace(/\/$/, '')}/${file}`.replace(/^\.\/(?=.)/, '');
  return `; for what it is built from, give ${path} with -f`;
}

function itemsOf(value: YamlValue | undefined): readonly YamlValue[] {
  if (!value) return [];
  return value.kind === 'sequence' ? value.items : [value];
}
