/** Owns making elements and bringing what is shown up to date without losing focus, selection or what was opened. */

type Child = Node | string | undefined | false;
type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * @param attributes `true` is an empty attribute; `false` and `undefined` are none; `key` tells siblings apart
 * @param children text is text, whatever it looks like
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    const isState = name.startsWith('aria-'); // there `true` is a word
    element.setAttribute(name === 'key' ? 'data-key' : name, value === true && !isState ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}

/** @returns the element of the document that has the id. @throws where the document is another than the script */
export function part(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no part ${id}`);
  return found;
}

/** Makes the children of `parent` be these: elements that are there already are changed and stay. */
export function show(parent: Element, ...children: readonly Child[]): void {
  const next = document.createElement('div');
  next.append(...children.filter((child) => child !== undefined && child !== false));
  syncChildren(parent, next);
}

function syncChildren(parent: Element, next: Element): void {
  const keyed = new Map<string, Element>();
  for (const child of parent.children) {
    const key = keyOf(child);
    if (key !== undefined) keyed.set(key, child);
  }
  let place: ChildNode | null = parent.firstChild;
  for (const wanted of [...next.childNodes]) {
    const key = keyOf(wanted);
    const old = key === undefined ? place : (keyed.get(key) ?? null);
    if (!old || !isSameKind(old, wanted)) {
      parent.insertBefore(wanted, place);
      continue;
    }
    if (old === place) place = place.nextSibling;
    else parent.insertBefore(old, place);
    syncNode(old, wanted);
  }
  while (place) {
    const rest: ChildNode | null = place.nextSibling;
    place.remove();
    place = rest;
  }
}

function keyOf(node: Node): string | undefined {
  return node instanceof HTMLElement ? node.dataset.key : undefined;
}

function isSameKind(old: Node, wanted: Node): boolean {
  return old.nodeName === wanted.nodeName && keyOf(old) === keyOf(wanted);
}

function syncNode(old: Node, wanted: ChildNode): void {
  if (!(old instanceof Element) || !(wanted instanceof Element)) {
    if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes])
    if (!wanted.hasAttribute(name) && !isOfUser(old, name)) old.removeAttribute(name);
  for (const { name, value } of wanted.attributes)
    if (old.getAttribute(name) !== value && !isOfUser(old, name)) old.setAttribute(name, value);
  syncChildren(old, wanted);
}

/** What somebody opened stays open. */
function isOfUser(element: Element, attribute: string): boolean {
  return element instanceof HTMLDetailsElement && attribute === 'open';
}

/** Says something to who listens to the page instead of looking at it; once for each time that it changes. */
export function announce(text: string): void {
  part('announcements').textContent = text;
}
