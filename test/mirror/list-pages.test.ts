import t from 'tap';
import { nextQuery } from '../../src/mirror/list-pages.ts';

const cases: [link: string | undefined, expected: string | undefined][] = [
  [undefined, undefined],
  ['', undefined],
  ['</v2/a/tags/list?n=2&last=b>; rel="next"', 'n=2&last=b'],
  ['<https://quay.io/v2/a/tags/list?n=2&next_page=gAAA%3D%3D>; rel="next"', 'n=2&next_page=gAAA%3D%3D'],
  ['<http://169.254.169.254/latest/meta-data?last=b>; rel=next', 'last=b'],
  ['<?last=b>;rel=next', 'last=b'],
  ['</a?x=1>; rel="prev", </b?x=2>; title="a, b"; rel="next"', 'x=2'],
  ['</b?x=2>; rel="last next"', 'x=2'],
  ['</b?x=2>; rel="nextish"', undefined],
  ['</b?x=2>; rel="prev"', undefined],
  ['</b?x=2>', undefined],
  ['</b>; rel="next"', undefined],
  ['</b?last=a b\u00e9&x=/../..#part>; rel="next"', 'last=a+b%C3%A9&x=%2F..%2F..'],
  ['<'.repeat(4096), undefined],
];

t.test('where a list goes on is a query and nothing else', async (t) => {
  for (const [link, expected] of cases) t.equal(nextQuery(link), expected, String(link).slice(0, 80));
});
