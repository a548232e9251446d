// Durable chat on Bun: what arrives in one turn of the loop is one commit, and is sent after it.
//   bun bun.js PORT FOLDER
import { Database } from 'bun:sqlite';

const [port, folder] = process.argv.slice(2);
const db = new Database(`${folder}/chat.db`, { create: true });
db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL');
db.exec(`CREATE TABLE log (room TEXT, seq INTEGER, ts INTEGER, user TEXT, text TEXT,
  PRIMARY KEY (room, seq)) WITHOUT ROWID`);
const insert = db.query('INSERT INTO log VALUES (?, ?, ?, ?, ?)');
const heads = new Map();
let waiting = [];

function commit() {
  const rows = waiting;
  waiting = [];
  db.exec('BEGIN IMMEDIATE');
  for (const row of rows) insert.run(...row);
  db.exec('COMMIT');
  for (const [room, seq, ts, user, text] of rows) {
    server.publish(room, JSON.stringify({ type: 'msg', room, seq, ts, user, text }));
  }
}

function append(room, user, text) {
  const seq = (heads.get(room) ?? 0) + 1;
  heads.set(room, seq);
  if (waiting.length === 0) setImmediate(commit);
  waiting.push([room, seq, Date.now(), user, text]);
}

const server = Bun.serve({
  port: Number(port),
  hostname: '127.0.0.1',
  fetch(request, bun) {
    const data = { user: '', room: '' };
    return bun.upgrade(request, { data }) ? undefined : new Response('', { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    backpressureLimit: 64 << 20,
    idleTimeout: 600,
    message(socket, data) {
      const command = JSON.parse(data);
      if (command.type === 'join') {
        socket.data = { user: command.user, room: command.room };
        socket.subscribe(command.room);
        socket.send(JSON.stringify({ type: 'joined', room: command.room }));
      } else {
        append(socket.data.room, socket.data.user, command.text);
      }
    },
  },
});
