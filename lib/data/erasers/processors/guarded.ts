/**
 * HTTP to an address that a team typed in: over TLS, to the public internet, and to nowhere else. What a name resolves to
 * is checked for the very connection that is made, so that a name which changes in between (DNS rebinding) leads nowhere.
 */
import { lookup as resolve, type LookupAddress } from 'node:dns'
import {
  Agent as HttpAgent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { LetheError } from '../../../base/errors/index.ts'
import type { Send } from '../../../base/calls/index.ts'

export interface GuardOptions {
  /** The store's name, for messages. */
  store: string
  /** Also private networks, this machine, and plain HTTP. */
  allowPrivate: boolean
  /** The system's by default. */
  lookup?: LookupFunction
}

/** An answer is counts and ids: more is a mistake, or somebody who fills our memory. */
const MOST_BYTES = 4 * 1024 * 1024

/**
 * A `Send` that refuses, with E_CONFIG, an address without TLS and whatever resolves to this machine or a private network.
 * Redirects are answers like any other. No proxy of the environment is used: it would do the resolving.
 */
export function guardedSend(options: GuardOptions): Send {
  const agents = options.allowPrivate
    ? { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true }) }
    : { 'https:': new HttpsAgent({ keepAlive: true, lookup: guardedLookup(options) }) }
  return (address, { method, headers, body, signal }) =>
    new Promise((resolveAnswer, reject) => {
      const url = checkAddress(address, options)
      const start = url.protocol === 'https:' ? httpsRequest : httpRequest
      const agent = url.protocol === 'https:' ? agents['https:'] : agents['http:']
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
      const request: ClientRequest = start(
        url,
        { method, signal, headers: { ...headers, ...length }, ...(agent === undefined ? {} : { agent }) },
        (answer) => void readAnswer(answer).then(resolveAnswer, reject),
      )
      request.once('error', reject)
      request.end(body)
    })
}

/** Throws E_CONFIG for what is no address, has no TLS, or is a private address itself: those are never looked up. */
export function checkAddress(address: string, { store, allowPrivate }: GuardOptions): URL {
  const url = URL.canParse(address) ? new URL(address) : null
  const protocols = allowPrivate ? ['https:', 'http:'] : ['https:']
  if (url === null || !protocols.includes(url.protocol))
    throw new LetheError('E_CONFIG', {
      message: `The address of ${store} is no https:// address.`,
      next: 'Give an https:// address; allow_private: true also allows http://, for a service of your own network.',
    })
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (!allowPrivate && isIP(host) !== 0 && isPrivate(host)) throw privateError(store)
  return url
}

/** Whether an IP address is anything but one of the public internet's. */
export function isPrivate(address: string): boolean {
  if (isIP(address) !== 6) return notPublic.check(address, 'ipv4')
  const inner = behindNat64(address)
  return inner === null ? notPublic.check(address, 'ipv6') : notPublic.check(inner, 'ipv4')
}

/** A network without IPv4 of its own reaches all of it under this prefix (RFC 6052). */
function behindNat64(address: string): string | null {
  // The scope of a link-local address is no part of a URL.
  const [plain = ''] = address.split('%')
  const { hostname } = new URL(`http://[${plain}]`)
  const [, high, low] = /^\[64:ff9b::([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname) ?? []
  if (high === undefined || low === undefined) return null
  const bits = [parseInt(high, 16), parseInt(low, 16)].flatMap((group) => [group >> 8, group & 255])
  return bits.join('.')
}

/** One bad address among several is enough: which of them is used is not ours to choose. */
function guardedLookup({ store, lookup = resolve }: GuardOptions): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const all: LookupAddress[] =
        typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found
      const [first] = error === null ? all : []
      if (error !== null || first === undefined) {
        callback(error ?? Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), '')
        return
      }
      if (all.some(({ address }) => isPrivate(address))) callback(privateError(store), '')
      else if (options.all === true) callback(null, all)
      else callback(null, first.address, first.family)
    })
}

function privateError(store: string): LetheError {
  return new LetheError('E_CONFIG', {
    message: `The address of ${store} leads to this machine or a private network.`,
    next: 'Give a public address, or set allow_private: true where it is a service of your own network.',
    facts: { store },
  })
}

async function readAnswer(answer: IncomingMessage): Promise<Response> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of answer) {
    const bytes = Buffer.from(part)
    size += bytes.length
    if (size > MOST_BYTES) throw Object.assign(new Error('too long an answer'), { code: 'E2BIG' })
    parts.push(bytes)
  }
  const headers = new Headers()
  for (const [name, values] of Object.entries(answer.headersDistinct))
    for (const value of values ?? []) headers.append(name, value)
  const status = answer.statusCode ?? 0
  const isEmpty = status === 204 || status === 205 || status === 304
  return new Response(isEmpty ? null : Buffer.concat(parts), { status, headers })
}

/** https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry. */
const notPublic = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  notPublic.addSubnet(net, bits, 'ipv4')
for (const [net, bits] of [
  // Loopback, unspecified, and IPv4 in its old dress.
  ['::', 96],
  // IPv4 behind a translator of the network's own, 6to4, Teredo: where it ends, the address doesn't say.
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2001::', 23],
  ['2002::', 16],
  ['100::', 64],
  ['2001:db8::', 32],
  ['3fff::', 20],
  ['5f00::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const)
  notPublic.addSubnet(net, bits, 'ipv6')
