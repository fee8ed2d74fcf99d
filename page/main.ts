/** Owns the start of the page, and what becomes of what somebody does there. */
import { copyFrom } from './copy.ts';
import { part } from './dom.ts';
import { StatusPage } from './status-page.ts';

const page = new StatusPage();
let typing: ReturnType<typeof setTimeout> | undefined;
/** Who types is not asked about each letter. */
const TYPING_MS = 150;

/** By `data-action`: elements come and go, who listens stays. */
const ACTIONS: Readonly<Record<string, (value: string, button: HTMLElement) => void>> = {
  retry: () => page.retry(),
  reload: () => location.reload(),
  sort: (by) => page.sortImages(by),
  page: (offset) => page.turnToImages(Number(offset)),
  'more-misses': (limit) => page.showMisses(Number(limit)),
  copy: (id, button) => void copyFrom(part(id), button),
};

document.addEventListener('click', ({ target }) => {
  const button = target instanceof Element ? target.closest<HTMLElement>('[data-action]') : null;
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  ACTIONS[button.dataset.action ?? '']?.(button.dataset.value ?? '', button);
});

/** Calls `then` with what is in the field when nobody has typed for a moment. */
function whenTyped(id: string, then: (text: string) => void): void {
  const field = part(id) as HTMLInputElement;
  field.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => then(field.value), TYPING_MS);
  });
}

whenTyped('search', (text) => page.searchImages(text));
whenTyped('address', (address) => page.typeAddress(address));
part('image-search').addEventListener('submit', (event) => event.preventDefault());
page.start();
