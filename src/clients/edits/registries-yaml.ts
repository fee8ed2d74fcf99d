/** Owns the mirrors of hubcap in a `registries.yaml` of k3s and RKE2. Pure. */
import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  type Pair,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { quote } from '../mirror-address.ts';
import { hostText } from '../snippets/k3s.ts';
import { type FileEdit, UneditableError } from './file-edit.ts';
import {
  append,
  asLinesOf,
  insertAfterLine,
  lineStart,
  placeOf,
  prependItem,
  type Range,
  removeItem,
  removeLines,
  splice,
} from './text.ts';

/** @param path of k3s or of RKE2 */
export function registriesYamlEdit(path: string, url: URL, upstreams: readonly string[]): FileEdit {
  return {
    path,
    add: (text = '') =>
      [...upstreams].reverse().reduce((now, upstream) => addEndpoint(now, url, upstream), text),
    remove(text, before) {
      const known = before === undefined ? undefined : parse(before);
      return upstreams.reduce((now, upstream) => removeEndpoint(now, url, upstream, known), text);
    },
    has: (text) => mirroredHosts(text, url).length > 0,
    isNothing: (text) => text.trim() === '',
    read: (text) => parse(text).toJS() ?? {},
  };
}

/** @returns the registries that hubcap is a mirror of */
export function mirroredHosts(text: string, url: URL): string[] {
  const mirrors = mapAt(parse(text), ['mirrors']);
  return (mirrors?.items ?? []).flatMap(({ key }) => {
    const host = isScalar(key) ? String(key.value) : '';
    return endpointsOf(parse(text), host).some((one) => isEndpoint(one, url)) ? [host] : [];
  });
}

type Yaml = Document.Parsed;

/** @throws UneditableError with the place */
function parse(text: string): Yaml {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) {
    const [what = ''] = error.message.split(/ at line \d+/);
    throw new UneditableError(`it is no YAML: ${what}`, placeOf(text, error.pos[0]));
  }
  const { contents } = document;
  if (contents !== null && !isMap(contents) && !(isScalar(contents) && contents.value === null))
    throw new UneditableError('it is no mapping', placeOf(text, contents.range?.[0] ?? 0));
  return document;
}

function mapAt(document: Yaml, path: readonly string[]): YAMLMap | undefined {
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  return isMap(node) ? node : undefined;
}

function pairAt(document: Yaml, path: readonly string[]): Pair | undefined {
  const map = mapAt(document, path.slice(0, -1));
  return map?.items.find(({ key }) => (isScalar(key) ? String(key.value) : key) === path.at(-1));
}

function endpointsOf(document: Yaml, host: string): unknown[] {
  const seq = document.getIn(['mirrors', host, 'endpoint'], true);
  return isSeq(seq) ? seq.items.map((item) => (isScalar(item) ? item.value : undefined)) : [];
}

/** k3s takes an endpoint without a path for the same as one with `/` or `/v2`. */
function isEndpoint(endpoint: unknown, url: URL): boolean {
  return typeof endpoint === 'string' && endpoint.replace(/\/(?:v2)?$/, '') === url.origin;
}

function addEndpoint(text: string, url: URL, upstream: string): string {
  const document = parse(text);
  if (endpointsOf(document, upstream).some((one) => isEndpoint(one, url))) return text;
  const added = addAsText(text, document, url, upstream);
  if (added !== undefined && isAdded(added, url, upstream)) return added;
  throw new UneditableError(
    `the mirrors of ${upstream} are written in a way that hubcap does not change: write mirrors, the registry and endpoint each on a line of its own`,
  );
}

function isAdded(text: string, url: URL, upstream: string): boolean {
  const document = parseDocument(text);
  return document.errors.length === 0 && endpointsOf(document, upstream).some((one) => isEndpoint(one, url));
}

/** @returns undefined where it is written in another way than on lines */
function addAsText(text: string, document: Yaml, url: URL, upstream: string): string | undefined {
  const root = mapAt(document, []);
  if (root?.flow)
    return root.items.length === 0 ? splice(text, rangeOf(root), whole(text, url, upstream)) : undefined;
  const mirrors = pairAt(document, ['mirrors']);
  if (!mirrors) return append(text, `mirrors:\n${hostText(url, upstream)}`);
  const host = pairAt(document, ['mirrors', upstream]);
  if (!host) return insertBelow(text, mirrors, hostText(url, upstream).replace(/^ {2}/gm, ''));
  const endpoint = pairAt(document, ['mirrors', upstream, 'endpoint']);
  if (!endpoint) return insertBelow(text, host, `endpoint:\n  - ${quote(url.origin)}\n`);
  return prependEndpoint(text, endpoint, url);
}

function whole(text: string, url: URL, upstream: string): string {
  return asLinesOf(text, `mirrors:\n${hostText(url, upstream)}`).trimEnd();
}

/** Puts lines first below a key, indented as what is there. @returns undefined where something else is there */
function insertBelow(text: string, { key, value }: Pair, block: string): string | undefined {
  const isEmpty = isScalar(value) ? value.value === null && value.source === '' : value === null;
  const first = isMap(value) && !value.flow ? value.items[0] : undefined;
  if (!first && !isEmpty) return undefined;
  const column = first ? columnOf(text, first.key) : `${columnOf(text, key)}  `;
  return insertAfterLine(text, rangeOf(key)[1], block.replace(/^/gm, column).trimEnd().concat('\n'));
}

function columnOf(text: string, node: unknown): string {
  const [start] = rangeOf(node);
  return ' '.repeat(start - lineStart(text, start));
}

function prependEndpoint(text: string, endpoint: Pair, url: URL): string | undefined {
  const seq = endpoint.value;
  const item = quote(url.origin);
  if (!isSeq(seq)) return undefined;
  const first = seq.items[0];
  if (seq.flow) return prependItem(text, writtenOf(seq), item);
  if (!isScalar(first)) return undefined;
  const start = lineStart(text, rangeOf(first)[0]);
  const [dash = ''] = /^[ ]*- +/.exec(text.slice(start)) ?? [];
  return dash === '' ? undefined : splice(text, [start, start], asLinesOf(text, `${dash}${item}\n`));
}

function removeEndpoint(text: string, url: URL, upstream: string, before: Yaml | undefined): string {
  const document = parse(text);
  const endpoints = endpointsOf(document, upstream);
  const index = endpoints.findIndex((one) => isEndpoint(one, url));
  const earlier = before ? endpointsOf(before, upstream) : [];
  if (index < 0 || earlier.some((one) => isEndpoint(one, url))) return text;
  if (endpoints.length > 1) return removeOne(text, document, upstream, index);
  const paths = [['mirrors', upstream, 'endpoint'], ['mirrors', upstream], ['mirrors']];
  // As far up as there is nothing else and was nothing before.
  const isAlone = (path: string[]) => mapAt(document, path)?.items.length === 1 && !before?.hasIn(path);
  const top = paths.slice(1).findLastIndex((_, level) => paths.slice(1, level + 2).every(isAlone));
  const path = paths[top + 1] ?? [];
  if (before?.hasIn(path)) return removeOne(text, document, upstream, index);
  return removePair(text, document, path);
}

function removePair(text: string, document: Yaml, path: readonly string[]): string {
  const pair = pairAt(document, path);
  const parent = mapAt(document, path.slice(0, -1));
  if (!pair || !parent) return text;
  const [start] = rangeOf(pair.key);
  const end = endOf(pair.value ?? pair.key);
  if (!parent.flow) return removeLines(text, [start, end], path.length === 1);
  const items = parent.items.map(({ key, value }): Range => [rangeOf(key)[0], rangeOf(value ?? key)[1]]);
  return removeItem(text, { range: rangeOf(parent), items }, parent.items.indexOf(pair));
}

function removeOne(text: string, document: Yaml, upstream: string, index: number): string {
  const seq = document.getIn(['mirrors', upstream, 'endpoint'], true);
  if (!isSeq(seq)) return text;
  if (seq.flow) return removeItem(text, writtenOf(seq), index);
  const range = rangeOf(seq.items[index]);
  if (seq.items.length > 1) return removeLines(text, range, false);
  return splice(text, [range[0] - 2, range[1]], '[]');
}

/** The end of what is said; a comment behind it can be within the range of a mapping. */
function endOf(node: unknown): number {
  if (isMap(node) && !node.flow) return endOf(node.items.at(-1)?.value);
  if (isSeq(node) && !node.flow) return endOf(node.items.at(-1));
  return rangeOf(node)[1];
}

function writtenOf(seq: YAMLSeq): { range: Range; items: Range[] } {
  return { range: rangeOf(seq), items: seq.items.map(rangeOf) };
}

function rangeOf(node: unknown): Range {
  const range = (node as { range?: [number, number, number] } | undefined)?.range;
  return range ? [range[0], range[1]] : [0, 0];
}
