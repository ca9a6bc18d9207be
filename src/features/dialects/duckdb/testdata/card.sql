-- View card of transactions, by card_id.
with
-- what counts: decided at ingest, and it has a key
counted as (
  select "card_id", partition, event_time, seq,
    -- amount
    qw_clean("amount") as a1,
    -- price
    "price" as a2,
    -- merchant_id
    "merchant_id" as a3,
    -- case when amount > 100 then 1 end
    case when (qw_clean("amount") > 100::double) then 1 end as a4
  from "transactions"
  where status in ('ok', 'late_repaired') and "card_id" is not null
),
-- the window 1m
w1 as (
  select s.row_id,
    -- card.n_1m is count()
    count(e.seq) as "n_1m",
    -- card.spent_1m is sum(amount)
    qw_sum(e.a1) as "spent_1m",
    -- card.paid_1m is sum(price)
    try_cast(sum(e.a2) as decimal(18,2)) as "paid_1m",
    -- card.merchants_1m is count_distinct(merchant_id)
    count(distinct e.a3) as "merchants_1m",
    -- card.p95_1m is quantile(amount, 0.95)
    qw_quantile(e.a1, 0.95) as "p95_1m",
    -- card.spread_1m is stddev(amount)
    qw_stddev(e.a1) as "spread_1m",
    -- card.latest_1m is last(price) max_age 1h
    case when s.event_time - max(e.event_time) filter (where e.a2 is not null) < 3600000000
         then last(e.a2 order by e.event_time, e.partition, e.seq) filter (where e.a2 is not null) end as "latest_1m",
    -- card.recent_1m_1 is last_k(price, 2)
    (list(e.a2 order by e.event_time desc, e.partition desc, e.seq desc) filter (where e.a2 is not null))[1] as "recent_1m_1",
    -- card.recent_1m_2 is last_k(price, 2)
    (list(e.a2 order by e.event_time desc, e.partition desc, e.seq desc) filter (where e.a2 is not null))[2] as "recent_1m_2",
    -- card.large_1m is count(case when amount > 100 then 1 end)
    count(e.a4) as "large_1m",
    -- card.pace_1m is rate()
    nullif(count(e.seq), 0)::double * 1e6 / 60000000e0 as "pace_1m"
  from "spine" s
  left join counted e
    on e."card_id" = s."card_id" and e.event_time > s.event_time - 60000000
    and (e.event_time < s.event_time or (e.event_time = s.event_time and (s.seq is null
      or e.partition < s.partition or (e.partition = s.partition and e.seq <= s.seq))))
    and (s.known is null or e.seq <= map_extract(s.known, e.partition)[1])
  group by s.row_id, s.event_time
),
-- the window 7d/1h
w2 as (
  select s.row_id,
    -- card.n_7d_by_1h is count()
    count(e.seq) as "n_7d_by_1h",
    -- card.spent_7d_by_1h is sum(amount)
    qw_sum(e.a1) as "spent_7d_by_1h",
    -- card.paid_7d_by_1h is sum(price)
    try_cast(sum(e.a2) as decimal(18,2)) as "paid_7d_by_1h",
    -- card.merchants_7d_by_1h is count_distinct(merchant_id)
    count(distinct e.a3) as "merchants_7d_by_1h",
    -- card.p95_7d_by_1h is quantile(amount, 0.95)
    qw_quantile(e.a1, 0.95) as "p95_7d_by_1h",
    -- card.spread_7d_by_1h is stddev(amount)
    qw_stddev(e.a1) as "spread_7d_by_1h",
    -- card.latest_7d_by_1h is last(price) max_age 1h
    case when s.event_time - max(e.event_time) filter (where e.a2 is not null) < 3600000000
         then last(e.a2 order by e.event_time, e.partition, e.seq) filter (where e.a2 is not null) end as "latest_7d_by_1h",
    -- card.recent_7d_by_1h_1 is last_k(price, 2)
    (list(e.a2 order by e.event_time desc, e.partition desc, e.seq desc) filter (where e.a2 is not null))[1] as "recent_7d_by_1h_1",
    -- card.recent_7d_by_1h_2 is last_k(price, 2)
    (list(e.a2 order by e.event_time desc, e.partition desc, e.seq desc) filter (where e.a2 is not null))[2] as "recent_7d_by_1h_2",
    -- card.large_7d_by_1h is count(case when amount > 100 then 1 end)
    count(e.a4) as "large_7d_by_1h",
    -- card.pace_7d_by_1h is rate()
    nullif(count(e.seq), 0)::double * 1e6 / 604800000000e0 as "pace_7d_by_1h"
  from "spine" s
  left join counted e
    on e."card_id" = s."card_id" and e.event_time >= qw_floor(s.event_time - 604800000000, 3600000000)
    and (e.event_time < s.event_time or (e.event_time = s.event_time and (s.seq is null
      or e.partition < s.partition or (e.partition = s.partition and e.seq <= s.seq))))
    and (s.known is null or e.seq <= map_extract(s.known, e.partition)[1])
  group by s.row_id, s.event_time
)
select s.row_id,
  w1."n_1m",
  w1."spent_1m",
  w1."paid_1m",
  w1."merchants_1m",
  w1."p95_1m",
  w1."spread_1m",
  w1."latest_1m",
  w1."recent_1m_1",
  w1."recent_1m_2",
  w1."large_1m",
  w1."pace_1m",
  w2."n_7d_by_1h",
  w2."spent_7d_by_1h",
  w2."paid_7d_by_1h",
  w2."merchants_7d_by_1h",
  w2."p95_7d_by_1h",
  w2."spread_7d_by_1h",
  w2."latest_7d_by_1h",
  w2."recent_7d_by_1h_1",
  w2."recent_7d_by_1h_2",
  w2."large_7d_by_1h",
  w2."pace_7d_by_1h"
from "spine" s
join w1 on w1.row_id = s.row_id
join w2 on w2.row_id = s.row_id
order by s.row_id
