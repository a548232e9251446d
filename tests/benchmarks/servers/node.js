// Chat on Node `ws`, as its documentation does it: parse, serialise, send to all. Stores nothing.
//   node node.js PORT chat|echo
'use strict';
const { WebSocket, WebSocketServer } = require('ws');

const [port, mode] = process.argv.slice(2);
const rooms = new Map();
let id = 0;

function chat(socket) {
  let room = null;
  let user = '';
  socket.on('message', (data) => {
    const command = JSON.parse(data);
    if (command.type === 'join') {
      user = command.user;
      if (!rooms.has(command.room)) rooms.set(command.room, new Set());
      room = rooms.get(command.room).add(socket);
      socket.send(JSON.stringify({ type: 'joined', room: command.room }));
    } else if (room !== null) {
      id += 1;
      const event = { type: 'msg', room: command.room, user, id, text: command.text };
      const text = JSON.stringify(event);
      for (const member of room) if (member.readyState === WebSocket.OPEN) member.send(text);
    }
  });
  socket.on('close', () => room?.delete(socket));
}

function echo(socket) {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
}

const server = new WebSocketServer({
  host: '127.0.0.1', port: Number(port), backlog: 4096, perMessageDeflate: false,
});
server.on('connection', mode === 'echo' ? echo : chat);
