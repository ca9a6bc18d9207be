PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE counters (model TEXT PRIMARY KEY, last INTEGER NOT NULL);
INSERT INTO counters VALUES('anomaly',3);
CREATE TABLE versions (
  model TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
  folder TEXT NOT NULL, digest TEXT NOT NULL, parent INTEGER NOT NULL,
  published_us INTEGER NOT NULL, swapped_us INTEGER NOT NULL,
  metrics TEXT NOT NULL, lineage TEXT NOT NULL, PRIMARY KEY (model, version));
INSERT INTO versions VALUES('anomaly',1,'previous','','models/anomaly/1','c52bea2172362f3692608f98bca96dc7385005002d3c773deafe56d1fe7f874d',0,1764547200000001,1764547300000000,'{"held_out":61.5}','{"parent":"0","run_id":"run-1","then":"swap"}');
INSERT INTO versions VALUES('anomaly',2,'champion','','models/anomaly/2','c52bea2172362f3692608f98bca96dc7385005002d3c773deafe56d1fe7f874d',1,1764547200000002,1764547400000000,'{"held_out":61.5}','{"parent":"0","run_id":"run-1","then":"swap"}');
INSERT INTO versions VALUES('anomaly',3,'refused','worse than the champion','models/anomaly/3','c52bea2172362f3692608f98bca96dc7385005002d3c773deafe56d1fe7f874d',2,1764547200000003,0,'{"held_out":61.5}','{"parent":"0","run_id":"run-1","then":"swap"}');
CREATE TABLE aliases (
  model TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (model, alias));
INSERT INTO aliases VALUES('anomaly','champion',2);
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, model TEXT NOT NULL,
  version INTEGER NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL);
INSERT INTO events VALUES(1,1764547200000001,'anomaly',1,'published','');
INSERT INTO events VALUES(2,1764547200000002,'anomaly',2,'published','');
INSERT INTO events VALUES(3,1764547200000003,'anomaly',3,'published','');
INSERT INTO events VALUES(4,1764547300000000,'anomaly',1,'alias:champion','');
INSERT INTO events VALUES(5,1764547400000000,'anomaly',2,'alias:champion','');
INSERT INTO events VALUES(6,1764547500000000,'anomaly',3,'state:refused','worse than the champion');
CREATE TABLE seal (id INTEGER PRIMARY KEY CHECK (id = 1), sum TEXT NOT NULL);
INSERT INTO seal VALUES(1,'aaf5c101acbddda1');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('events',6);
COMMIT;
PRAGMA user_version=2;
