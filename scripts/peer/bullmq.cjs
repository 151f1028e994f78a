// What `regflow bench peer` compares with: a service that registers products with BullMQ on Redis, as one would write it by hand.
//
// Usage: node bullmq.cjs FOLDER MAKERS. Starts Redis with its files in FOLDER (each write flushed before it is answered) and a
// process that works; prints one line, {"http": ..., "processes": [...], "peer": ...}, once it can be asked, and ends with its input.
// POST / takes {"requests": [...]} and answers {"ids": [...]} once all are stored; GET /done and GET /ID ask Redis.
//
// Tuned by trying (docs/performance.md): one process that takes and one that works, 100 jobs at once, Redis by a Unix socket. It
// seals nothing, keeps no history of attempts and knows no limits of makers.
'use strict'

const { fork, spawn } = require('node:child_process')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { Queue, Worker } = require('bullmq')
const { Redis } = require('ioredis')
const { Pool } = require('undici')

const NAME = 'registrations'
const AT_ONCE = 100
const STARTS_WITHIN_MS = 10_000
// the file is not rewritten while it grows, which would be smaller on disk and slower
const REDIS = [
  '--port', '0', '--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0',
]

const [folder, makers, role] = process.argv.slice(2)
const socket = path.join(folder, 'redis.sock')
const redis = () => new Redis({ path: socket, maxRetriesPerRequest: null })

async function take() {
  const server = spawn('redis-server', [...REDIS, '--unixsocket', socket, '--dir', folder], { stdio: 'ignore' })
  endTogetherWith(server)
  process.stdin.on('end', () => process.exit()).resume()
  await redisStarted()
  const worker = fork(__filename, [folder, makers, 'work'], { stdio: ['ignore', 2, 2, 'ipc'] })
  endTogetherWith(worker)
  await new Promise(ready => worker.once('message', ready))
  const connection = redis()
  const queue = new Queue(NAME, { connection })
  const desk = http.createServer((request, answer) => {
    answered(queue, request).then(
      said => answer.end(JSON.stringify(said)),
      error => { answer.statusCode = 500; answer.end(String(error)) },
    )
  })
  desk.keepAliveTimeout = 0
  desk.listen(0, '127.0.0.1', async () => {
    const [, version] = (await connection.info('server')).match(/redis_version:(\S+)/)
    console.log(JSON.stringify({
      http: `http://127.0.0.1:${desk.address().port}/`,
      processes: [server.pid, process.pid, worker.pid],
      peer: `BullMQ ${require('bullmq/package.json').version} on Redis ${version}, appendfsync always, Node ${process.versions.node}`,
    }))
  })
}

async function answered(queue, request) {
  if (request.method === 'POST') {
    const parts = []
    for await (const part of request) parts.push(part)
    const { requests } = JSON.parse(Buffer.concat(parts))
    const jobs = await queue.addBulk(requests.map(data => ({ name: 'register', data })))
    return { ids: jobs.map(job => job.id) }
  }
  if (request.url === '/done') return { done: await queue.getCompletedCount() }
  return { state: await queue.getJobState(request.url.slice(1)) }
}

function work() {
  const pool = new Pool(new URL(makers).origin, { connections: AT_ONCE })
  const register = async ({ id, data: { product, purchase, owner } }) => {
    const [firstName, ...lastNames] = owner.name.split(' ')
    const { street, postalCode, city, country } = owner.address
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path: '/norrland/api/v1/products/register',
      headers: { 'content-type': 'application/json', 'x-api-key': 'norrland-test-key', 'idempotency-key': id },
      body: JSON.stringify({
        product: { model: product.model, serialNumber: product.serial, purchaseDate: purchase.date },
        customer: {
          firstName, lastName: lastNames.join(' '), email: owner.email, phone: owner.phone,
          address: { street, postalCode, city, country },
        },
        externalRef: id,
        marketingOptIn: false,
      }),
    })
    const text = await body.text()
    if (statusCode !== 201) throw new Error(`the maker answered ${statusCode}`)
    return JSON.parse(text).registrationId
  }
  // a failure is stored before the second try; BullMQ's own retry stores the same and takes three times as long
  const attempts = job => register(job).catch(async error => {
    await job.updateProgress({ failed: error.message })
    return register(job)
  })
  const worker = new Worker(NAME, attempts, { connection: redis(), concurrency: AT_ONCE })
  worker.on('error', error => console.error(error)).waitUntilReady().then(() => process.send('ready'))
  process.on('disconnect', () => process.exit())
}

function endTogetherWith(child) {
  process.on('exit', () => child.kill('SIGKILL'))
  child.on('exit', () => { throw new Error(`ended: ${child.spawnargs.join(' ')}`) })
}

async function redisStarted() {
  const asked = Date.now()
  while (!fs.existsSync(socket)) {
    if (Date.now() - asked > STARTS_WITHIN_MS) throw new Error('Redis did not start')
    await new Promise(later => setTimeout(later, 10))
  }
}

if (role === 'work') work()
else take()
