/** Owns saying why the names of images are not shown, and what to change. */
import { h } from './dom.ts';

/** @param what the names are of: `images` */
export function noNames(what: 'images' | 'misses'): HTMLElement {
  return h(
    'div',
    { class: 'nothing' },
    h(
      'p',
      {},
      'The names of images are not told to this page: by adminNames in the configuration, they are for whoever asks from the machine of hubcap itself, under localhost or a loopback address, unless it says otherwise.',
    ),
    h(
      'p',
      {},
      'There, open this page as ',
      h('code', {}, `http://localhost:${location.port || 80}`),
      ' or run ',
      h('code', {}, `hubcap ${what}`),
      '. To tell them to everyone who reaches this page, set ',
      h('code', {}, 'adminNames: everyone'),
      ' in the configuration and reload it.',
    ),
  );
}
