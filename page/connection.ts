/** Owns saying that the daemon is not heard any more, since when, and that it is another one than the page was made for. */
import { AnswerError } from './api.ts';
import { h, part, show } from './dom.ts';
import { formatMoment } from './words.ts';

/** @returns why there is no answer, in words */
export function lossWords(error: unknown): string {
  if (error instanceof AnswerError) return `it answers ${error.status}`;
  if (error instanceof SyntaxError) return 'its answer cannot be read';
  const isLate = error instanceof Error && /in time/.test(error.message);
  return isLate ? 'it does not answer in time' : 'it cannot be reached';
}

/** @param lastSeenMs by the clock of the browser; undefined: never since the page was opened */
export function showLost(error: unknown, lastSeenMs: number | undefined, nowMs: number): void {
  const seen =
    lastSeenMs === undefined
      ? 'It was not heard since this page was opened.'
      : `Last seen at ${formatMoment(lastSeenMs, nowMs)}: what is shown is as of then.`;
  document.body.classList.add('lost');
  document.title = 'connection lost · hubcap';
  show(
    part('connection'),
    h(
      'div',
      { class: 'notice bad' },
      h('h2', {}, 'Connection lost'),
      h('p', {}, `hubcap is not heard: ${lossWords(error)}. ${seen} It is tried again by itself.`),
      h('button', { type: 'button', 'data-action': 'retry' }, 'Try now'),
    ),
  );
}

export function showFound(): void {
  document.body.classList.remove('lost');
  show(part('connection'));
}

/** Says so where what answers is another version than the page was loaded from. */
export function showUpgrade(loadedVersion: string, version: string): void {
  if (loadedVersion === version) return;
  const text = `This page was loaded from version ${loadedVersion}: reload it to have the new one.`;
  showReload(`hubcap is now version ${version}`, text);
}

/** What the daemon tells is not what the page knows. */
export function showMisfit(version: string): void {
  showReload('This page cannot show all', `It does not understand what hubcap ${version} tells: reload it.`);
}

function showReload(title: string, text: string): void {
  show(
    part('connection'),
    h(
      'div',
      { class: 'notice warn' },
      h('h2', {}, title),
      h('p', {}, text),
      h('button', { type: 'button', 'data-action': 'reload' }, 'Reload'),
    ),
  );
}
