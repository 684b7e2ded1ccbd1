from django.contrib import admin
from django.urls import path
from sites import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("ok/", views.ok),
    path("slow/", views.slow),
    path("flaky/", views.flaky),
]
