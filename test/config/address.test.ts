import t from 'tap';
import {
  formatAddress,
  isSameAddress,
  parseAddress,
  parseHost,
  parseRegistryHost,
} from '../../src/config/address.ts';

t.test('addresses', async (t) => {
  t.same(parseAddress('127.0.0.1:5000'), { host: '127.0.0.1', port: 5000 });
  t.same(parseAddress('[::1]:5000'), { host: '::1', port: 5000 });
  t.same(parseAddress(':5000'), { host: '', port: 5000 });
  t.same(parseAddress('Mirror.Example:0'), { host: 'mirror.example', port: 0 });
  for (const text of [
    '',
    '5000',
    'host',
    '::1',
    '::1:5000',
    '[::1]',
    '[::1',
    '[nope]:1',
    'a b:1',
    'h:65536',
    'h:-1',
    'h:',
  ]) {
    t.equal(parseAddress(text), undefined, text);
  }
  for (const text of ['127.0.0.1:5000', '[::1]:5000', ':5000']) {
    t.equal(formatAddress(parseAddress(text) ?? { host: 'refused', port: 0 }), text);
  }
});

t.test('addresses that cannot both be bound', async (t) => {
  const isSame = (a: string, b: string) => {
    const [first, second] = [parseAddress(a), parseAddress(b)];
    return first !== undefined && second !== undefined && isSameAddress(first, second);
  };
  t.ok(isSame('127.0.0.1:5000', '127.0.0.1:5000'));
  t.ok(isSame('localhost:5000', '127.0.0.1:5000'));
  t.ok(isSame(':5000', '127.0.0.1:5000'));
  t.ok(isSame('127.0.0.1:5000', '0.0.0.0:5000'));
  t.notOk(isSame('127.0.0.1:5000', '127.0.0.1:5001'));
  t.notOk(isSame('127.0.0.1:5000', '127.0.0.2:5000'));
  t.notOk(isSame('127.0.0.1:0', '127.0.0.1:0'), 'port 0 is another one each time');
});

t.test('registry hosts', async (t) => {
  const accepted = [
    'docker.io',
    'localhost',
    'localhost:5000',
    'registry:5000',
    '10.0.0.1',
    '[::1]:5000',
    'a-b.c',
  ];
  for (const text of accepted) t.equal(parseRegistryHost(text), text);
  t.equal(parseRegistryHost('GHCR.io'), 'ghcr.io');
  const refused = [
    '',
    'library',
    'https://ghcr.io',
    'ghcr.io/owner',
    'ghcr.io:',
    'ghcr..io',
    '-a.b',
    'a_b.c',
    'a.b:99999',
  ];
  for (const text of [...refused, '__proto__', '../etc', 'a.b\n', `${'a'.repeat(64)}.io`]) {
    t.equal(parseRegistryHost(text), undefined, JSON.stringify(text));
  }
  t.equal(parseHost('auth_server:5001'), 'auth_server:5001', 'other hosts need no dot');
});
