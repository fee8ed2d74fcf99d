/** Owns the part of Docker's `daemon.json` that is hubcap's. Pure. */
import { getNodeValue, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { quote } from '../mirror-address.ts';
import { snippetFor } from '../snippet.ts';
import { DAEMON_JSON, DEFAULT_INSECURE, missingInsecure } from '../snippets/docker.ts';
import { type FileEdit, UneditableError } from './file-edit.ts';
import { eolOf, indentOf, placeOf, prependItem, type Range, removeItem, splice } from './text.ts';

const MIRRORS = 'registry-mirrors';
const INSECURE = 'insecure-registries';

export function daemonJsonEdit(url: URL): FileEdit {
  const whole = snippetFor('docker', { url, upstreams: ['docker.io'] }).files[0]?.text ?? '';
  return {
    path: DAEMON_JSON,
    add(text = '') {
      if (text.trim() === '') return whole; // Docker takes an empty file for one without settings
      const mirrors = stringsOf(text, MIRRORS);
      const withMirror = mirrors?.some((one) => isMirror(one, url))
        ? text
        : addItems(text, MIRRORS, [url.origin]);
      return addItems(withMirror, INSECURE, missingInsecure(url, stringsOf(text, INSECURE)));
    },
    remove(text, before) {
      if (text.trim() === '') return text;
      const known = before === undefined ? undefined : new Before(before);
      const isOurMirror = (one: string) => isMirror(one, url) && !known?.has(MIRRORS, one);
      const rest = removeItems(text, MIRRORS, isOurMirror, known);
      return removeItems(rest, INSECURE, (one) => one === url.origin && !known?.has(INSECURE, one), known);
    },
    has: (text) => text.trim() !== '' && stringsOf(text, MIRRORS)?.some((one) => isMirror(one, url)) === true,
    isNothing: (text) => text.trim() === '' || Object.keys(readObject(text)).length === 0,
    read: (text) => (text.trim() === '' ? {} : readObject(text)),
  };
}

/** The settings as they were. */
class Before {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  list(key: string): string[] | undefined {
    return this.#text.trim() === '' ? undefined : stringsOf(this.#text, key);
  }

  has(key: string, item: string): boolean {
    return this.list(key)?.includes(item) === true;
  }
}

/** Docker takes a mirror with a slash at its end for the same. */
function isMirror(text: string, url: URL): boolean {
  return text.replace(/\/$/, '') === url.origin;
}

function addItems(text: string, key: string, items: readonly string[]): string {
  if (items.length === 0) return text;
  const property = propertyOf(text, key);
  if (!property) return addProperty(text, `${quote(key)}: [${items.map(quote).join(', ')}]`);
  return items.reduceRight((now, item) => {
    const array = propertyOf(now, key)?.value;
    return array ? prependItem(now, written(array), quote(item)) : now;
  }, text);
}

function removeItems(
  text: string,
  key: string,
  isOurs: (item: string) => boolean,
  before: Before | undefined,
): string {
  const items = stringsOf(text, key);
  if (!items?.some(isOurs)) return text;
  const wasThere = before !== undefined && before.list(key) !== undefined;
  const rest = items.filter((item) => !isOurs(item));
  // With the host came what Docker starts with.
  const isDefault = key === INSECURE && rest.every((item) => DEFAULT_INSECURE.includes(item));
  if (!wasThere && (rest.length === 0 || isDefault)) return removeProperty(text, key);
  const index = items.findIndex(isOurs);
  const array = propertyOf(text, key)?.value;
  if (!array) return text;
  return removeItems(removeItem(text, written(array), index), key, isOurs, before);
}

function addProperty(text: string, property: string): string {
  const root = parseObject(text);
  const last = root.children?.at(-1);
  const eol = eolOf(text);
  if (!last) {
    const indent = indentOf(text, root.offset);
    return splice(text, rangeOf(root), `{${eol}${indent}  ${property}${eol}${indent}}`);
  }
  const start = Math.max(...(root.children ?? []).slice(0, -1).map((one) => rangeOf(one)[1]), root.offset);
  const isOnOwnLine = text.slice(start, last.offset).includes('\n');
  const between = isOnOwnLine ? eol + indentOf(text, last.offset) : ' ';
  return splice(text, [rangeOf(last)[1], rangeOf(last)[1]], `,${between}${property}`);
}

function removeProperty(text: string, key: string): string {
  const root = parseObject(text);
  const properties = (root.children ?? []).map(rangeOf);
  const index = (root.children ?? []).findIndex((one) => one.children?.[0]?.value === key);
  return removeItem(text, { range: rangeOf(root), items: properties }, index);
}

function written(array: Node): { range: Range; items: Range[] } {
  return { range: rangeOf(array), items: (array.children ?? []).map(rangeOf) };
}

function rangeOf({ offset, length }: Node): Range {
  return [offset, offset + length];
}

/** @returns the list of a key; undefined where it is not there @throws UneditableError where it is something else */
function stringsOf(text: string, key: string): string[] | undefined {
  const property = propertyOf(text, key);
  if (!property) return undefined;
  const value: unknown = getNodeValue(property.value);
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new UneditableError(`${key} is no list of texts`, placeOf(text, property.value.offset));
}

function propertyOf(text: string, key: string): { value: Node } | undefined {
  const found = (parseObject(text).children ?? []).filter((one) => one.children?.[0]?.value === key);
  if (found[1]) throw new UneditableError(`${key} is there twice`, placeOf(text, found[1].offset));
  const value = found[0]?.children?.[1];
  return value && { value };
}

function readObject(text: string): object {
  return getNodeValue(parseObject(text)) as object;
}

/** Docker reads strict JSON: a comment is an error that it does not start with. */
function parseObject(text: string): Node {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false });
  const [error] = errors;
  if (error) {
    const what = printParseErrorCode(error.error)
      .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
      .toLowerCase();
    throw new UneditableError(`it is no JSON: ${what}`, placeOf(text, error.offset));
  }
  if (root?.type === 'object') return root;
  throw new UneditableError('it is no JSON object', placeOf(text, root?.offset ?? 0));
}
