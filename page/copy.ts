/** Owns copying a text: to the clipboard where the browser allows it, else by selecting it for who copies it. */
import { announce } from './dom.ts';

/** Copies what an element shows; says on the button, and to who listens, what has become of it. */
export async function copyFrom(element: HTMLElement, button: HTMLElement): Promise<void> {
  const said = (await copy(element)) ? 'Copied' : 'Selected: press Ctrl+C';
  button.textContent = said;
  announce(said);
  setTimeout(() => {
    if (button.textContent === said) button.textContent = 'Copy';
  }, 3000);
}

/** The clipboard is there on https and on the machine itself alone. */
async function copy(element: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    select(element); // no clipboard, or none that may be used
    return document.execCommand('copy');
  }
}

function select(element: HTMLElement): void {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection?.removeAllRanges();
  selection?.addRange(range);
}
