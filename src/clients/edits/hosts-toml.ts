/** Owns the part of a `hosts.toml` that is hubcap's. Pure. */
import { upstreamOrigin } from '../mirror-address.ts';
import { hostsText } from '../snippets/containerd.ts';
import { type FileEdit, UneditableError } from './file-edit.ts';
import { append, placeOf, removeLines } from './text.ts';
import { insertBefore, parseToml, type Toml, type TomlTable } from './toml.ts';

/** @param path of the `hosts.toml` of this upstream */
export function hostsTomlEdit(path: string, url: URL, upstream: string): FileEdit {
  const whole = hostsText(url, upstream);
  const table = whole.slice(whole.indexOf('['));
  return {
    path,
    add(text = '') {
      if (text.trim() === '') return whole;
      const toml = parseToml(text);
      if (ourTables(toml, url).length > 0) return text;
      const inline = toml.entries.find(({ key }) => key[0] === 'host');
      // containerd takes the order of hosts from the headers, and does not see these (getSortedHosts).
      if (inline)
        throw new UneditableError(
          'host is written without a header: write [host."…"]',
          placeOf(text, inline.range[0]),
        );
      const first = toml.tables.find(({ key }) => key[0] === 'host');
      return first ? insertBefore(text, first, table) : append(text, table);
    },
    remove(text, before) {
      if (before !== undefined && ourTables(parseToml(before), url).length > 0) return text;
      const ours = ourTables(parseToml(text), url);
      return ours.reduceRight((now, { range }) => removeLines(now, range, true), text);
    },
    has: (text) => namesMirror(text, url),
    isNothing(text) {
      const { server, ...rest } = parseToml(text).value;
      const isOurs = server === undefined || server === upstreamOrigin(upstream);
      return isOurs && Object.keys(rest).length === 0 && !text.includes('#');
    },
    read: (text) => parseToml(text).value,
  };
}

/** @returns the table of the mirror and what is below it */
function ourTables({ tables }: Toml, url: URL): TomlTable[] {
  return tables.filter(({ key: [host, name] }) => host === 'host' && isOurs(name, url));
}

function isOurs(name: unknown, url: URL): boolean {
  return typeof name === 'string' && name.replace(/\/$/, '') === url.origin;
}

/** @returns whether a `hosts.toml` names the mirror */
export function namesMirror(text: string, url: URL): boolean {
  return ourTables(parseToml(text), url).length > 0;
}
