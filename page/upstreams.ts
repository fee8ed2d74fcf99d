/** Owns how the upstreams are shown. */
import type { PageStatus } from '../src/admin/status.ts';
import { h, part, show } from './dom.ts';
import { badge, bar } from './state.ts';
import { accountWords, endpointWords, upstreamWords } from './upstream-words.ts';

type Upstream = PageStatus['upstreams'][number];

export function showUpstreams({ upstreams, isOffline }: PageStatus, nowMs: number): void {
  show(part('upstream-list'), ...upstreams.map((upstream) => describe(upstream, isOffline, nowMs)));
}

function describe(upstream: Upstream, isOffline: boolean, nowMs: number): HTMLElement {
  const { host, url, isDefault, endpoints, accounts } = upstream;
  const { level, label, detail } = upstreamWords(upstream, isOffline, nowMs);
  const isPlain = endpoints.length === 1 && endpoints[0]?.url === url;
  return h(
    'li',
    { key: host, class: 'card' },
    h(
      'div',
      { class: 'row' },
      h('h3', {}, host),
      isDefault && h('span', { class: 'mark' }, 'default'),
      badge(level, label),
    ),
    detail !== undefined && h('p', {}, detail),
    h(
      'ul',
      { class: 'plain addresses' },
      ...endpoints.map((endpoint) => describeEndpoint(endpoint, isPlain)),
    ),
    accounts.length > 0 && h('ul', { class: 'plain' }, ...accountWords(accounts, nowMs).map(describeAccount)),
  );
}

function describeEndpoint(endpoint: Upstream['endpoints'][number], isOnly: boolean): HTMLElement {
  const wrong = endpointWords(endpoint);
  return h(
    'li',
    { key: endpoint.url },
    h('span', { class: 'address' }, isOnly ? endpoint.url : `by way of ${endpoint.url}`),
    wrong !== undefined &&
      h('span', { class: `reason ${endpoint.state === 'down' ? 'bad' : 'warn'}` }, wrong),
    endpoint.isInsecure && h('span', { class: 'reason warn' }, 'insecure: whoever answers there is believed'),
  );
}

function describeAccount({
  account,
  left,
  text,
  level,
}: ReturnType<typeof accountWords>[number]): HTMLElement {
  return h(
    'li',
    { key: account, class: 'account' },
    h('span', { class: 'name' }, account),
    h('span', { class: level === 'good' ? 'muted' : `reason ${level}` }, text),
    left && bar(`pulls left for ${account}`, left.remaining, left.limit),
  );
}
