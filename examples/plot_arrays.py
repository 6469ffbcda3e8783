"""
Arrays, early stopping, and a comparison with scikit-learn
==========================================================

The estimators are used like scikit-learn's own, and compared with them here.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_diabetes, load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearnish as sn

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

clf = sn.TorchClassifier(max_epochs=30, early_stopping=True, patience=5, random_state=0)
clf.fit(X_train, y_train)
peer = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
peer.fit(X_train, y_train)

print(f"TorchClassifier  {clf.score(X_test, y_test):.3f} after {clf.n_iter_} epochs")
print(f"MLPClassifier    {peer.score(X_test, y_test):.3f} after {peer[-1].n_iter_} epochs")

# %%
# Every epoch is in ``history_``. In the picture, the dot is the epoch whose weights were kept.

sn.plotting.HistoryDisplay.from_estimator(clf)
pd.DataFrame(clf.history_).set_index("epoch")[["train_loss", "valid_loss"]].tail(3).round(4)

# %%
# A regressor is one step of a pipeline among others.

X, y = load_diabetes(return_X_y=True)
model = make_pipeline(PCA(8), sn.TorchRegressor(max_epochs=20, batch_size=32, random_state=0))
print(f"R2 {cross_val_score(model, X, y, cv=3).mean():.2f} in cross-validation")

plt.show()
