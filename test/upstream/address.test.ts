import t from 'tap';
import { parseRepository, type Repository } from '../../src/oci/reference.ts';
import { baseUrl, nameAt, questionUrl } from '../../src/upstream/address.ts';

const repository = named('library/alpine');

function named(text: string): Repository {
  const parsed = parseRepository(text);
  if (!parsed) throw new Error(`${text} is no repository`);
  return parsed;
}

for (const [address, base, name] of [
  ['https://registry.test', 'https://registry.test/v2/', 'library/alpine'],
  ['https://registry.test/', 'https://registry.test/v2/', 'library/alpine'],
  ['http://registry.test:5000/base/', 'http://registry.test:5000/base/v2/', 'library/alpine'],
  ['https://harbor.test/v2/hub', 'https://harbor.test/v2/', 'hub/library/alpine'],
  ['https://harbor.test/base/v2/proxy/hub/', 'https://harbor.test/base/v2/', 'proxy/hub/library/alpine'],
] as const) {
  t.test(address, async (t) => {
    const url = new URL(address);
    t.equal(baseUrl(url).href, base);
    t.equal(nameAt(url, repository), name);
    t.equal(questionUrl(url, repository, 'tags/list?n=5').href, `${base}${name}/tags/list?n=5`);
  });
}
