"A model on a table of one's own: no study, no repository and no notebook is needed."

import pandas as pd
from recsys_nb.protocol import OwnIds, log_from_frame
from recsys_nb.sasrec import SASRec

steps = ['tea', 'pot', 'cup', 'jam', 'pan']  # 200 customers look at one thing after another, in this order
seen = [(f'customer {n}', steps[(n + i) % 5], f'2026-05-{i + 1:02}') for n in range(200) for i in range(3)]
log, ids = log_from_frame(pd.DataFrame(seen, columns=['visitorid', 'itemid', 'timestamp']))
model = SASRec(epochs=5, batch_rows=4).fit(log)
print(ids.own_items(model.recommend(ids.sessions([['tea', 'pot'], ['jam']]), 2)[0]))  # what comes next

model.save('kept')
ids.save('kept')
model, ids = SASRec.load('kept'), OwnIds.load('kept')
print(ids.own_items(model.recommend(ids.sessions([['tea', 'pot'], ['jam']]), 2)[0]))  # the same
