import t from 'tap';
import { mayHearNames } from '../../src/admin/names.ts';

const asked = (address: string | undefined, headers: Record<string, string>, httpVersion = '1.1') => ({
  address,
  headers,
  httpVersion,
});

t.test('names are told to who asks from this machine under a name of this machine', async (t) => {
  for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'])
    for (const host of ['localhost', 'localhost:5001', '127.0.0.1:5001', '[::1]:5001', 'hubcap.localhost:80'])
      t.ok(mayHearNames('loopback', asked(address, { host })), `${address} asks for ${host}`);
});

t.test('and to nobody else', async (t) => {
  const others: [string, string | undefined, Record<string, string>][] = [
    ['another machine', '10.0.0.7', { host: 'localhost' }],
    ['another machine by IPv6', 'fe80::1', { host: '[::1]' }],
    ['a mapped address', '::ffff:10.0.0.7', { host: 'localhost' }],
    ['a name that was made to lead here', '127.0.0.1', { host: 'evil.example:5001' }],
    ['a name that looks like this machine', '127.0.0.1', { host: '127.0.0.1.evil.example' }],
    ['localhost as a label', '127.0.0.1', { host: 'localhost.evil.example' }],
    ['no name', '127.0.0.1', {}],
    ['a name that is none', '127.0.0.1', { host: ':::' }],
    ['a proxy', '127.0.0.1', { host: 'localhost', 'x-forwarded-for': '10.0.0.7' }],
    ['a proxy of the standard', '127.0.0.1', { host: 'localhost', forwarded: 'for=10.0.0.7' }],
    ['a proxy that says how it was asked', '127.0.0.1', { host: 'localhost', 'x-forwarded-proto': 'https' }],
    ['a name with a path', '127.0.0.1', { host: 'localhost/.evil.example' }],
    ['a name with a user', '127.0.0.1', { host: 'evil.example@localhost' }],
    ['a name with a fragment', '127.0.0.1', { host: 'localhost#.evil.example' }],
    ['a name with a backslash', '127.0.0.1', { host: 'localhost\\.evil.example' }],
    ['every address', '127.0.0.1', { host: '0:5001' }],
    ['a link-local address with its zone', '127.0.0.1', { host: '[fe80::1%25lo]' }],
    ['a connection without address', undefined, { host: 'localhost' }],
  ];
  for (const [who, address, headers] of others)
    t.notOk(mayHearNames('loopback', asked(address, headers)), who);
});

t.test('a proxy with the defaults of nginx is not somebody at this machine', async (t) => {
  const asking = asked('127.0.0.1', { host: '127.0.0.1:5001', connection: 'close' }, '1.0');
  t.notOk(mayHearNames('loopback', asking));
  t.ok(mayHearNames('everyone', asking));
});

t.test('as the configuration wants it', async (t) => {
  t.ok(mayHearNames('everyone', asked('10.0.0.7', { host: 'hubcap.example' })));
  t.notOk(mayHearNames('nobody', asked('127.0.0.1', { host: 'localhost' })));
});
