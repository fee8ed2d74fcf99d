/** Owns the settings of clients to copy, for the address by which they reach hubcap. */
import type { PageStatus } from '../src/admin/status.ts';
import { type ClientSnippet, clientNames, type SnippetFile, snippetFor } from '../src/clients/snippet.ts';
import { addressFor, parseAddress, reachOf } from './client-address.ts';
import { h, part, show } from './dom.ts';

let typed: string | undefined;
/** what is shown is for this */
let shown = '';

/** @param address what somebody has typed */
export function typeAddress(address: string): void {
  typed = address;
}

/** @param pageHostname under which the page was opened */
export function showClients(status: PageStatus, pageHostname: string): void {
  const field = part('address') as HTMLInputElement;
  const address = typed ?? addressFor(status.listen, pageHostname) ?? '';
  if (document.activeElement !== field && field.value !== address) field.value = address;
  const url = parseAddress(address);
  field.setAttribute('aria-invalid', String(url === undefined));
  if (!url) {
    show(
      part('address-note'),
      h('p', { class: 'reason bad' }, 'This is no address: write one like http://mirror.example:5000.'),
    );
    return; // what was shown stays, for the address before
  }
  const reach = reachOf(status, url);
  show(
    part('address-note'),
    reach && h('p', { class: reach.level === 'good' ? 'muted' : `reason ${reach.level}` }, reach.text),
  );
  const wish = { url, upstreams: namesOf(status) };
  const next = JSON.stringify(wish);
  if (next === shown) return;
  shown = next;
  show(part('client-list'), ...clientNames.map((client) => describe(client, snippetFor(client, wish))));
}

/** The default first; what is no host goes into nobody's settings. */
function namesOf({ upstreams }: PageStatus): string[] {
  const hosts = upstreams.filter(({ host }) => URL.canParse(`http://${host}`));
  return hosts.sort((a, b) => Number(b.isDefault) - Number(a.isDefault)).map(({ host }) => host);
}

/** @param client the key: what is opened belongs to it */
function describe(client: string, { title, files, reload, notes }: ClientSnippet): HTMLElement {
  return h(
    'details',
    { key: client, name: 'client', class: 'card' },
    h('summary', {}, title),
    ...files.map((file, i) => describeFile(file, `${client}-${i}`, title)),
    h('p', {}, 'Then: ', isCommand(reload) ? h('code', {}, reload) : reload),
    notes.length > 0 && h('ul', { class: 'notes' }, ...notes.map((note) => h('li', {}, note))),
  );
}

function describeFile({ path, language, text }: SnippetFile, id: string, title: string): HTMLElement {
  const name = path ?? (language === 'shell' ? 'command' : language);
  return h(
    'div',
    { key: id, class: 'snippet' },
    h(
      'div',
      { class: 'row' },
      path === undefined ? h('span', { class: 'muted' }, name) : h('code', {}, path),
      h(
        'button',
        {
          type: 'button',
          'data-action': 'copy',
          'data-value': `snippet-${id}`,
          'aria-label': `Copy ${name} for ${title}`,
        },
        'Copy',
      ),
    ),
    h(
      'pre',
      { id: `snippet-${id}`, tabindex: 0, 'aria-label': `${name} for ${title}`, role: 'region' },
      text,
    ),
  );
}

/** A command has no capital at its beginning and no full stop at its end. */
function isCommand(text: string): boolean {
  return /^[a-z]/.test(text) && !text.endsWith('.');
}
